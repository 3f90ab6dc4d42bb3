"""The item log in Redis, as its readers see it."""

from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from export.contract.tables import id_fault
from service.records import HIGHEST_REV
from service.store.base import LOG_START, Entry, LogId, LogState, Poison
from service.store.connection import answering
from service.store.keys import Keys


class ItemLog:
    """Every change of an item, in the order of writing; read with a cursor of one's own.

    Every method raises StoreUnavailable when Redis does not answer in time, or with an error.
    """

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def state(self) -> LogState:
        """Return where the log begins and ends."""
        with answering():
            epoch: Any = await self._client.get(self._keys.epoch)
            try:
                info: dict[str, Any] = await self._client.xinfo_stream(self._keys.log)
            except ResponseError as error:
                if "no such key" not in str(error):
                    raise
                return LogState(epoch, None, LOG_START)
        first = info["first-entry"]
        return LogState(
            epoch,
            LogId.parse(first[0].decode()) if first else None,
            LogId.parse(info["last-generated-id"].decode()),
        )

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
