"""The item use case: check, embed, store and serve what is posted; read and remove it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from export.contract.errors import Fault, RecordError
from export.contract.schema import Record
from export.embedder import Embedder, Vectors
from service.embed import embed_each
from service.generation import Generation
from service.records import ItemRecord, State, parse_posted, state_of, write_json
from service.store import Store, StoreUnavailable, Written

SLICE = 64
"""Items embedded and written at once, before others on the event loop have their turn."""


class DeltaFull(Exception):
    """More was posted than can be searched quickly until the main index is rebuilt."""


@dataclass(frozen=True, slots=True)
class Item:
    """An item as it is served."""

    id: str
    record: Record
    state: State
    dropped: list[str]
    version: str
    vector: Vectors


@dataclass(frozen=True, slots=True)
class Posted(Item):
    """An item that was written to the store and can be found here."""

    created: bool
    """Whether it is new; else it replaced one."""
    log_id: str
    searchable: bool = True
    durable: bool = True


Outcome = Posted | RecordError | StoreUnavailable | DeltaFull


class Items:
    """Items of one generation, and of the store behind it.

    delta_most: how many rows of a delta may await a new main index.
    """

    def __init__(
        self, generation: Generation, embedder: Embedder, store: Store, *, delta_most: int = 20_000
    ) -> None:
        self._generation = generation
        self._embedder = embedder
        self._store = store
        self._side = generation.schema.item
        self._delta_most = delta_most

    async def post(self, posted: Sequence[object]) -> list[Outcome]:
        """Write items; each has its outcome, in order, and a bad one loses no good one.

        Of two with one id the later one wins. A write whose outcome is StoreUnavailable may have
        happened; to post it again does no harm.

        Args:
            posted: Flat records as JSON has them, each with its `id`.

        """
        outcomes: list[Outcome] = []
        for start in range(0, len(posted), SLICE):
            outcomes += await self._post(posted[start : start + SLICE])
            await asyncio.sleep(0)
        return outcomes

    async def _post(self, posted: Sequence[object]) -> list[Outcome]:
        parsed = [self._parse(one) for one in posted]
        good = [item for item in parsed if isinstance(item, ItemRecord)]
        done = iter(await self._write(good))
        return [next(done) if isinstance(one, ItemRecord) else one for one in parsed]

    def _parse(self, posted: object) -> ItemRecord | RecordError | DeltaFull:
        if not isinstance(posted, Mapping):
            return RecordError([Fault.of("item", posted, "an object with an id and features")])
        try:
            one, groups = parse_posted(self._side, posted)
            item = ItemRecord(one, 0, "put", groups.content, groups.preference)
            write_json(item)
        except RecordError as error:
            return error
        if self._generation.delta_size >= self._delta_most:
            return DeltaFull(f"{self._delta_most} items await a new index")
        return item

    async def _write(self, items: Sequence[ItemRecord]) -> list[Outcome]:
        records = [self._generation.served(item).record for item in items]
        vectors = embed_each(self._embedder, "item", records)
        ready = [
            (item, record, vector)
            for item, record, vector in zip(items, records, vectors, strict=True)
            if not isinstance(vector, RecordError)
        ]
        generation = self._generation
        written = await self._store.write_items(
            [(item, vector) for item, _, vector in ready],
            generation.version,
            generation.highest_rev,
        )
        done = iter([self._posted(*row, w) for row, w in zip(ready, written, strict=True)])
        return [one if isinstance(one, RecordError) else next(done) for one in vectors]

    def _posted(
        self,
        item: ItemRecord,
        record: Record,
        vector: Vectors,
        written: Written | StoreUnavailable,
    ) -> Posted | StoreUnavailable:
        if isinstance(written, StoreUnavailable):
            return written
        in_bundle = item.id in self._generation.catalogue.ids
        self._generation.apply(_numbered(item, written), vector)
        state, dropped = state_of(self._side, record)
        return Posted(
            id=item.id,
            record=record,
            state=state,
            dropped=dropped,
            version=self._generation.version,
            vector=vector,
            created=written.before == "delete" or (written.before == "nothing" and not in_bundle),
            log_id=str(written.log_id),
        )

    async def delete(self, one: str) -> str:
        """Remove an item, known or not, for good: a later bundle does not bring it back.

        Returns the log id. Raises StoreUnavailable, after which it may be removed or not.
        """
        generation = self._generation
        item = ItemRecord(one, 0, "delete")
        written = await self._store.write_item(
            item, None, generation.version, generation.highest_rev
        )
        generation.apply(_numbered(item, written), None)
        return str(written.log_id)

    def get(self, one: str) -> Item | None:
        """Return an item as it is served here; None if it is unknown or removed."""
        item = self._generation.get(one)
        vector = self._generation.vector(one)
        if item is None or vector is None:
            return None
        state, dropped = state_of(self._side, item.record)
        return Item(one, item.record, state, dropped, self._generation.version, vector)


def _numbered(item: ItemRecord, written: Written) -> ItemRecord:
    """Return an item as the store now holds it."""
    as_of = None if item.preference is None else str(written.log_id)
    return replace(item, rev=written.rev, preference_as_of=as_of)
