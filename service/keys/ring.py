"""The keys that let in, found by what a request brings, and read again when their file changes."""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from export.contract.errors import ConfigError
from service.keys.key import Key, digest_of, read_keys
from service.keys.mask import mask_token
from service.observe import KEYS_REFUSED
from service.settings import Settings

logger = logging.getLogger(__name__)

LOOK_S = 1.0

TOKEN_NAME = "FIRSTSIGHT_ADMIN_TOKEN"
"""What the key of that setting is called; no line of a file can give a key this name."""


class KeyRing:
    """All keys of one process: those of `FIRSTSIGHT_KEYS_FILE`, and `FIRSTSIGHT_ADMIN_TOKEN`.

    A key is found by a digest of its digest under a secret of this process, so that how long the
    search takes tells nothing of what is kept. From its making on the token is masked as keys are.
    """

    def __init__(self, settings: Settings) -> None:
        token = None if settings.admin_token is None else settings.admin_token.get_secret_value()
        mask_token(token)
        digest = None if token is None else digest_of(token.encode())
        self._always = () if digest is None else (Key.of(TOKEN_NAME, ["admin"], digest),)
        self._path = settings.keys_file
        self._secret = secrets.token_bytes(32)
        self._read: tuple[Key, ...] | None = None
        self._reason: str | None = None
        self._keys = self._by_place(self._always)
        self.look()

    @property
    def asks(self) -> bool:
        """Whether a key is needed at all; a file of keys without a line asks for one, too."""
        return self._path is not None or bool(self._always)

    def find(self, text: bytes) -> Key | None:
        """Return the key that this is; None: it is none."""
        return self._keys.get(self._place(digest_of(text)))

    def look(self) -> None:
        """Read the file again; where it cannot be read, the keys stay those that were read last."""
        if self._path is None:
            return
        try:
            keys = read_keys(self._path)
        except ConfigError as error:
            self._refuse(self._path, str(error))
            return
        KEYS_REFUSED.set(0)
        self._reason = None
        if keys != self._read:
            self._read, self._keys = keys, self._by_place((*keys, *self._always))
            logger.info("keys read", extra={"names": [key.name for key in keys]})

    def _refuse(self, path: Path, reason: str) -> None:
        KEYS_REFUSED.set(1)
        if reason != self._reason:  # once for each reason, and not every second
            kept = [key.name for key in self._read or ()]
            logger.error("keys not read", extra={"reason": reason, "kept": kept, "path": str(path)})
        self._reason = reason

    async def watch(self) -> NoReturn:
        """Look once a second, in a thread, for a disk may be slow."""
        while True:
            await asyncio.sleep(LOOK_S)
            await asyncio.to_thread(self.look)

    def _place(self, digest: bytes) -> bytes:
        return hashlib.blake2b(digest, key=self._secret, digest_size=16).digest()

    def _by_place(self, keys: Iterable[Key]) -> dict[bytes, Key]:
        return {self._place(key.digest): key for key in keys}
