"""The revs of all items as Redis has them, and the way back for what it has lost."""

import secrets
from collections.abc import AsyncIterator, Sequence
from typing import Any

from redis.asyncio import Redis

from export.embedder import Vectors
from service.records import HIGHEST_REV, ItemRecord, stored_item
from service.store.base import StoreUnavailable
from service.store.connection import Call, answering, run_script
from service.store.keys import Keys
from service.store.scripts import ANNOUNCE_ITEM
from service.store.vectors import pack_vector


class ItemRevs:
    """Ids and revs of all items, removed ones too.

    Every method raises StoreUnavailable when Redis does not answer in time, or with an error.
    """

    def __init__(self, client: Redis, keys: Keys, vector_kept_s: int, log_entries: int) -> None:
        self._client = client
        self._keys = keys
        self._vector_kept_s = vector_kept_s
        self._log_entries = log_entries

    async def highest(self) -> int:
        """Return the rev of the last write."""
        with answering():
            rev: Any = await self._client.get(self._keys.rev)
        return int(rev or 0)

    async def pages(self, most: int) -> AsyncIterator[list[tuple[bytes, int]]]:
        """Give ids with their revs, by rev, at most so many at a time.

        Every item is given whose rev does not change meanwhile, and every other at least once.
        Paged by rev and not by rank, for an item that is written meanwhile moves to the end; so may
        those that were given last, which hence are told by their ids and not counted.
        """
        low, given = float("-inf"), set[bytes]()  # ids of that rev that were given
        while True:
            with answering():
                page: list[Any] = await self._client.zrangebyscore(
                    self._keys.items, low, "+inf", start=0, num=most + len(given), withscores=True
                )
            new = [(one, rev) for one, rev in page if rev != low or one not in given][:most]
            if not new:
                return
            yield [(one, int(min(max(rev, 0), HIGHEST_REV))) for one, rev in new]
            last = new[-1][1]
            given = {one for one, rev in new if rev == last} | (given if last == low else set())
            low = last

    async def of(self, ids: Sequence[str]) -> list[int]:
        """Return the revs of items, in order; 0 where none is stored."""
        with answering():
            revs: list[Any] = await self._client.zmscore(self._keys.items, list(ids))
        return [int(rev or 0) for rev in revs]

    async def announce(
        self, items: Sequence[tuple[ItemRecord, Vectors | None]], version: str
    ) -> int:
        """Write items as they are, with their revs, where no newer one is stored; say how many.

        Args:
            items: Changes that a replica has taken over, a put with its vector.
            version: The bundle version of the vectors.

        """
        epoch = secrets.token_hex(16)
        calls = [self._call(item, vector, version, epoch) for item, vector in items]
        with answering():
            answers = await run_script(self._client, ANNOUNCE_ITEM, 7, calls)
        for answer in answers:
            if isinstance(answer, Exception):
                raise StoreUnavailable(f"{type(answer).__name__}: {answer}") from answer
        return sum(answers)

    def _call(self, item: ItemRecord, vector: Vectors | None, version: str, epoch: str) -> Call:
        return [
            *self._keys.written(version, item.id),
            item.id,
            item.op,
            item.rev,
            stored_item(item),
            b"" if vector is None else pack_vector(vector),
            self._vector_kept_s,
            self._log_entries,
            epoch,
            version,
        ]
