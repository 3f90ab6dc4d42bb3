"""A key: its name, what it may do, and the digest that is kept instead of it."""

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from export.contract.errors import ConfigError
from service.loopback import is_loopback
from service.settings import Settings

Scope = Literal["recall", "write", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
DIGEST: Final = re.compile(r"[0-9a-f]{64}")
RIGHT_NAME: Final = "1 to 64 of a-z 0-9 . _ -, a letter or a digit first"
RIGHT_SCOPES: Final = f"some of {', '.join(SCOPES)}, with commas between them"
RIGHT_LINE: Final = "a name, its scopes, and 64 hexadecimal digits, as `firstsight keys new` gives"

PREFIX: Final = "fs_"
"""What a key begins with, so that one that was published by mistake can be searched for."""
KEY_BYTES: Final = 32
"""So many random bytes need no slow hash: nobody guesses what has this digest."""


@dataclass(frozen=True)
class Key:
    """Who calls, and what they may do; `admin` has the other scopes too."""

    name: str
    scopes: frozenset[Scope]
    digest: bytes

    @classmethod
    def of(cls, name: str, scopes: Iterable[Scope], digest: bytes) -> "Key":
        """Return a key with all that its scopes include."""
        given = frozenset(scopes)
        return cls(name, frozenset(SCOPES) if "admin" in given else given, digest)


def new_key(name: str, scopes: str) -> tuple[str, str]:
    """Make a key; return it, and the line for the file, from which it cannot be had again.

    Raises:
        ConfigError: The name or the scopes cannot be used.

    """
    text = PREFIX + secrets.token_urlsafe(KEY_BYTES)
    line = f"{_name(name)} {','.join(_scopes(scopes))} {digest_of(text.encode()).hex()}"
    return text, line


def digest_of(text: bytes) -> bytes:
    """Return what is kept of a key."""
    return hashlib.sha256(text).digest()


def parse_keys(text: str) -> tuple[Key, ...]:
    """Read the keys of a file, one a line; empty lines and those from `#` on are none.

    Raises:
        ConfigError: Names the line at fault; nothing of it is told, for it may hold a key.

    """
    keys: dict[str, Key] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            key = _parse(words)
        except ConfigError as error:
            raise ConfigError(f"line {number}: {error}") from None
        if key.name in keys:
            raise ConfigError(
                f"line {number}: the name of an earlier line, expected one of its own"
            )
        if key.digest in {one.digest for one in keys.values()}:
            raise ConfigError(f"line {number}: the key of an earlier line, expected another")
        keys[key.name] = key
    return tuple(keys.values())


def read_keys(path: Path) -> tuple[Key, ...]:
    """Read a file of keys.

    Raises:
        ConfigError: It cannot be read, or a line of it is none.

    """
    try:
        return parse_keys(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise ConfigError(f"FIRSTSIGHT_KEYS_FILE: {path}: {why}") from None
    except ConfigError as error:
        raise ConfigError(f"FIRSTSIGHT_KEYS_FILE: {path}: {error}") from None


def check_keys(settings: Settings) -> None:
    """Look, before anything is started, whether those can be told apart who reach the service.

    Raises:
        ConfigError: The file of keys cannot be used; or there is no key, and others than this
            machine reach the service.

    """
    if settings.keys_file is not None:
        read_keys(settings.keys_file)
    elif settings.admin_token is None and not is_loopback(settings.host):
        raise ConfigError(
            f"FIRSTSIGHT_HOST: {settings.host} is reached by others, and there is no key; expected "
            "FIRSTSIGHT_KEYS_FILE (`firstsight keys new`) or FIRSTSIGHT_ADMIN_TOKEN, or a loopback "
            "address (docs/security.md)"
        )


def _parse(words: list[str]) -> Key:
    if len(words) != 3 or not DIGEST.fullmatch(words[2]):
        raise ConfigError(f"expected {RIGHT_LINE}")
    return Key.of(_name(words[0]), _scopes(words[1]), bytes.fromhex(words[2]))


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ConfigError(f"the name cannot be used, expected {RIGHT_NAME}")
    return text


def _scopes(text: str) -> list[Scope]:
    """Return the scopes in the order of `SCOPES`."""
    given = text.split(",")
    if not set(given) <= set(SCOPES):
        raise ConfigError(f"the scopes cannot be used, expected {RIGHT_SCOPES}")
    return [scope for scope in SCOPES if scope in given]
