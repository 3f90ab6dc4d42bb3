"""The item log in Redis, as its readers see it."""

from typing import Any

from redis.asyncio import Redis

from export.contract.tables import id_fault
from service.records import HIGHEST_REV
from service.store.base import LOG_START, Behind, Entry, LogId, LogState, Poison, Position
from service.store.connection import Call, answering, run_script
from service.store.keys import Keys
from service.store.scripts import COUNT_AFTER, LOG_STATE, TRIM_LOG

COUNTED = 1000
"""Entries counted at once, for Redis answers nobody else meanwhile."""

COUNTED_MOST = 10_000
"""Entries counted in all: who is further behind has better to do, and so has Redis."""

WAITED_S = 7 * 86_400
"""How long the log is kept for a replica's snapshots while the replica is not heard of."""


class ItemLog:
    """Every change of an item, in the order of writing; read with a cursor of one's own.

    Every method raises StoreUnavailable when Redis does not answer in time, or with an error.
    """

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def state(self, at: LogId | None = None) -> LogState:
        """Return where the log begins and ends.

        at: a place; if it is before the end, whether there is an entry is told too.
        """
        place = LOG_START if at is None else at
        with answering():
            calls: list[Call] = [[self._keys.log, self._keys.epoch, str(place)]]
            [answer] = await run_script(self._client, LOG_STATE, 2, calls)
            if isinstance(answer, Exception):
                raise answer
        epoch, first, end, is_there = answer
        last = LogId.parse(end.decode()) if end else LOG_START
        return LogState(
            epoch or None,
            LogId.parse(first.decode()) if first else None,
            last,
            at if at is not None and at < last and not is_there else None,
        )

    async def behind(self, cursor: LogId) -> Behind:
        """Count what comes after a place, up to `COUNTED_MOST`, whatever version of Redis it is.

        Counted entry by entry: `entries-added` of Redis 7 tells no number for a place in between.
        """
        entries, oldest, last = 0, None, cursor
        while True:
            with answering():
                [answer] = await run_script(
                    self._client, COUNT_AFTER, 1, [[self._keys.log, str(last), COUNTED]]
                )
                if isinstance(answer, Exception):
                    raise answer
            count, first, end, seconds, micros = answer
            entries += count
            if count:
                oldest = oldest or LogId.parse(first.decode())
                last = LogId.parse(end.decode())
            if count < COUNTED or entries >= COUNTED_MOST:
                now_ms = int(seconds) * 1000 + int(micros) // 1000
                return Behind(entries, oldest, now_ms, is_least=count == COUNTED)

    async def trim(self, replica: str, needed: Position, kept_s: int) -> int:
        """Note from where on a replica needs the log, and trim what nobody needs; say how many.

        Kept is what any replica needs that noted it within `WAITED_S`, and what is younger than
        `kept_s` by the clock of Redis. Nothing happens to the log of another epoch.
        """
        call: Call = [
            *(self._keys.log, self._keys.snapshots, self._keys.epoch),
            *(replica, str(needed.cursor), needed.epoch or b"", kept_s, WAITED_S),
        ]
        with answering():
            [answer] = await run_script(self._client, TRIM_LOG, 3, [call])
            if isinstance(answer, Exception):
                raise answer
        return int(answer)

    async def read(self, after: LogId, most: int, wait_s: float) -> list[Entry | Poison]:
        """Return the next entries after a place, at most so many; none after waiting so long.

        `wait_s` must be well below the timeout of the store's log connections.
        """
        with answering():
            streams: Any = await self._client.xread(
                {self._keys.log: str(after)}, count=most, block=max(1, int(wait_s * 1000))
            )
        return [_entry(at, fields) for _, entries in streams or [] for at, fields in entries]


def _entry(at: bytes, fields: dict[bytes, bytes]) -> Entry | Poison:
    place = LogId.parse(at.decode())
    if fields.get(b"format") != b"1":
        return Poison(place, f"format is {fields.get(b'format')!r:.40}, expected b'1'")
    if fields.get(b"op") not in (b"put", b"delete"):
        return Poison(place, f"op is {fields.get(b'op')!r:.40}")
    rev = fields.get(b"rev", b"")
    if not (rev.isdigit() and len(rev) < 20 and 1 <= int(rev) < HIGHEST_REV):
        return Poison(place, f"rev is {rev!r:.40}")
    try:
        one = fields.get(b"id", b"").decode()
    except UnicodeDecodeError:
        return Poison(place, "id is not UTF-8")
    if id_fault(one):
        return Poison(place, f"id is {one!r:.40}")
    return Entry(place, one, int(rev))
