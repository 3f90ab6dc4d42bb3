"""The similar use case: the items nearest to an item."""

from dataclasses import dataclass

import orjson

from service.errors import InvalidRecord
from service.follower import Follower
from service.generation import Generation
from service.http.query import SimilarQuery
from service.http.wire import json_bytes
from service.index.found import Found
from service.items import Item, Items
from service.recall_request import over_limits
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class SimilarItems:
    """Items with scores, best first, and the item that they are near to."""

    item: Item
    found: Found
    degraded: list[str]

    def encode(self, request_id: str) -> bytes:
        """Return the JSON body."""
        return json_bytes(
            {
                "id": self.item.id,
                "state": self.item.state,
                "dropped": self.item.dropped,
                "version": self.item.version,
                "items": orjson.Fragment(self.found.text),
                "scores": self.found.scores,
                "score": "cosine",
                "degraded": self.degraded,
                "exhausted": self.found.exhausted,
                "request_id": request_id,
            }
        )


class Similar:
    """Finds what is near to an item, in one generation."""

    def __init__(
        self, generation: Generation, items: Items, follower: Follower, settings: Settings
    ) -> None:
        self._generation = generation
        self._items = items
        self._follower = follower
        self._settings = settings

    async def similar(self, one: str, asked: SimilarQuery) -> SimilarItems | None:
        """Return the items nearest to an item, itself left out; None if it is unknown or removed.

        One with `after` first waits until that log entry is applied here; if that takes too long
        the answer says `stale`.

        Raises:
            InvalidRecord: Names what is over a limit.

        """
        k = self._settings.k if asked.k is None else asked.k
        if faults := over_limits(k, asked.exclude, asked.after, self._settings.limits):
            raise InvalidRecord(faults)
        wait_s = self._settings.after_wait_ms / 1000
        is_stale = asked.after is not None and not await self._follower.wait_for(
            asked.after, wait_s
        )
        item = self._items.get(one)
        if item is None:
            return None
        excluded = frozenset((*asked.exclude, one))
        [found] = self._generation.search(item.vector[None], [k], [excluded])
        return SimilarItems(item, found, ["stale"] if is_stale else [])
