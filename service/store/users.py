"""Users as they are written and erased: a conditional write undoes no newer one, no erasure."""

import asyncio
import contextlib
import hashlib
import hmac
import math
import secrets
from collections.abc import Callable
from typing import Any

from service.records import UserRecord, write_json
from service.store.base import Contended, Kept
from service.store.connection import Line
from service.store.keys import Keys
from service.store.nodes import Nodes
from service.store.scripts import MARK_ERASED, REPLACE_USER, SETTLE_USER, WRITE_USER

ATTEMPTS = 10
"""How often a change is tried while others write the user too; one of them gets on each time."""

PAUSE_S = 0.005
"""The first pause where a conditional write is being settled; each is so much longer."""

UNSETTLED_MS = 30_000
"""Longer than the commands of one conditional write can take, each bounded in time."""


class UserWriter:
    """Writes and erases users; every command touches one key, for a cluster spreads them.

    An erasure leaves a mark for some days, and a conditional write is refused while there is one.
    A mark is named by a salted hash of the id, so Redis does not list who was erased. Each write
    has the record expire when it was kept for so long, if that is not for ever (0).

    Every method raises StoreUnavailable when Redis does not answer in time, or with an error.
    """

    def __init__(self, nodes: Nodes, keys: Keys, erased_kept_s: int, kept_s: int = 0) -> None:
        self._nodes = nodes
        self._keys = keys
        self._erased_kept_s = erased_kept_s
        self._kept_ms = kept_s * 1000

    async def put(self, user: UserRecord) -> bool:
        """Write a user; say whether nothing was stored of them before."""
        _, before, _ = await self._write(user, "")
        return not before

    async def put_unmodified(self, user: UserRecord, since_s: float) -> bool:
        """Write a user, unless they were written after a moment, or erased at any.

        An erasure marks first and deletes then. So if the first look misses the mark and the
        delete comes before the write, the second look finds the mark, and the write is undone. A
        write where nothing was stored (as after such a delete) expires until it is settled: who
        dies before the second look leaves nobody stored who was erased.

        Raises:
            Kept: Nothing was written, and why.

        """
        await self._refuse_erased(user.id)
        newer, before, written = await self._write(user, since_s)
        if newer:
            raise Kept("newer", _seconds(newer))
        try:
            await self._refuse_erased(user.id)
        except Kept:
            await self._settle(user.id, written, "undo", before)
            raise
        if not before:
            await self._settle(user.id, written, "keep", before)
        return not before

    async def patch(self, one: str, merged: Callable[[bytes | None], bytes]) -> tuple[bytes, bool]:
        """Change what is stored of a user; return what is now, and whether nothing was before.

        Args:
            one: Their id.
            merged: Makes the record to write of the stored one, without the moment of writing; is
                asked again where somebody else wrote meanwhile.

        Raises:
            Contended: Somebody else did, time after time.

        """
        before: Any = await self._get(self._keys.user(one))
        for attempt in range(1, ATTEMPTS + 1):
            is_written, now = await self._run(
                REPLACE_USER,
                self._keys.user(one),
                *(merged(before)[1:], before or b"", UNSETTLED_MS, self._kept_ms),
            )
            if is_written:
                return now, before is None
            if now == (before or b""):  # it is being settled
                await asyncio.sleep(PAUSE_S * attempt)
                now = await self._get(self._keys.user(one))
            before = now or None
        raise Contended

    async def delete(self, one: str) -> bool:
        """Erase a user; say whether anything was stored of them."""
        if self._erased_kept_s:
            salt = await self._nodes.ask(self._keys.salt, self._make_salt)
            await self._run(MARK_ERASED, self._mark(salt, one), self._erased_kept_s)
        # A command of its own: on a cluster a pipeline keeps no order.
        key = self._keys.user(one)
        return bool(await self._nodes.ask(key, lambda line: line.do("DEL", key)))

    async def _make_salt(self, line: Line) -> bytes:
        """Return the salt of marks, which the first erasure makes."""
        await line.do("SET", self._keys.salt, secrets.token_hex(32), "NX")
        return bytes(await line.do("GET", self._keys.salt))

    async def _refuse_erased(self, one: str) -> None:
        """Look for the mark; the salt is read each time, for this may be another Redis by now."""
        salt = await self._get(self._keys.salt)
        erased = salt and await self._get(self._mark(salt, one))
        if erased:
            raise Kept("erased", _seconds(erased))

    async def _get(self, key: bytes) -> bytes | None:
        found: bytes | None = await self._nodes.ask(key, lambda line: line.do("GET", key))
        return found

    def _mark(self, salt: bytes, one: str) -> bytes:
        return self._keys.erased(hmac.new(salt, one.encode(), hashlib.sha256).hexdigest())

    async def _write(self, user: UserRecord, since_s: float | str) -> tuple[bytes, bytes, bytes]:
        """Return when it was written instead, or b""; what was there; and what is there now."""
        record = write_json(user)[1:]
        newer, before, written = await self._run(
            WRITE_USER, self._keys.user(user.id), record, str(since_s), UNSETTLED_MS, self._kept_ms
        )
        return newer, before, written

    async def _settle(self, one: str, written: bytes, how: str, before: bytes) -> None:
        await self._run(SETTLE_USER, self._keys.user(one), written, how, before, self._kept_ms)

    async def _run(self, script: bytes, key: bytes, *told: bytes | str | int) -> Any:
        return await self._nodes.ask(key, lambda line: line.run(script, key, *told))


def _seconds(moment: bytes) -> float:
    """Return the seconds that a record or a mark tells of; infinity, where that is no moment."""
    with contextlib.suppress(ValueError):
        if (seconds := float(moment)) >= 0:
            return seconds
    return math.inf
