"""The item use case: check, embed, store and serve what is written; read and remove it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from export.contract.errors import RecordError
from export.contract.schema import Record
from export.embedder import Embedder, Vectors
from service.change import Change, read_patch, read_post
from service.embed import embed_each
from service.errors import Overloaded, Problem, UnknownItem
from service.generation import Generation
from service.records import HIGHEST_REV, ItemRecord, State, state_of
from service.store import Newer, Store, StoreUnavailable, Written

SLICE = 64
"""Items embedded and written at once, before others on the event loop have their turn."""

ATTEMPTS = 10
"""How often a change is tried while others write the item too; one of them gets on each time."""


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


Outcome = Posted | RecordError | StoreUnavailable | DeltaFull | Problem

Refresh = Callable[[Iterable[tuple[str, int]]], Awaitable[None]]


class Items:
    """Items of one generation, and of the store behind it.

    refresh: takes over items that are said to be of these revs, see `Follower.refresh`.
    delta_most: how many rows of a delta may await a new main index.
    """

    def __init__(
        self,
        generation: Generation,
        embedder: Embedder,
        store: Store,
        refresh: Refresh,
        *,
        delta_most: int = 20_000,
    ) -> None:
        self._generation = generation
        self._embedder = embedder
        self._store = store
        self._refresh = refresh
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
        for part in self._slices(posted):
            done = iter(await self._write([one for one in part if isinstance(one, Change)]))
            outcomes += [next(done) if isinstance(one, Change) else one for one in part]
            await asyncio.sleep(0)
        return outcomes

    async def patch(self, one: str, patch: Mapping[str, object]) -> Outcome:
        """Merge features into those of an item as it is served; null removes one.

        One that is not served here is looked for in the store, for another replica may just have
        written it; UnknownItem if it is not there either.

        Args:
            one: Its id.
            patch: Features as JSON has them; `"preference": null` forgets what was known before.

        """
        change = self._checked(lambda: read_patch(self._side, one, patch))
        if not isinstance(change, Change):
            return change
        if one not in self._generation:
            try:
                await self._refresh([(one, HIGHEST_REV)])
            except StoreUnavailable as error:
                return error
        [outcome] = await self._write([change])
        return outcome

    def _slices(self, posted: Sequence[object]) -> Iterator[list[Change | RecordError | DeltaFull]]:
        """Give what was posted in slices in which no id stands twice.

        What is not given of a second one stays as the first one left it.
        """
        part: list[Change | RecordError | DeltaFull] = []
        ids: set[str] = set()
        for one in posted:
            change = self._checked(partial(read_post, self._side, one))
            if len(part) == SLICE or (isinstance(change, Change) and change.id in ids):
                yield part
                part, ids = [], set()
            part.append(change)
            if isinstance(change, Change):
                ids.add(change.id)
        if part:
            yield part

    def _checked(self, read: Callable[[], Change]) -> Change | RecordError | DeltaFull:
        try:
            change = read()
        except RecordError as error:
            return error
        if self._generation.delta_size >= self._delta_most:
            return DeltaFull(f"{self._delta_most} items await a new index")
        return change

    async def _write(self, changes: Sequence[Change]) -> list[Outcome]:
        """Write changes of different items; one whose item changed meanwhile is made anew."""
        done: dict[str, Outcome] = {}
        newer: dict[str, int] = {}
        left = list(changes)
        for _ in range(ATTEMPTS):
            outcomes = await self._try(left, newer)
            newer = {one: was.rev for one, was in outcomes.items() if isinstance(was, Newer)}
            done |= {one: was for one, was in outcomes.items() if not isinstance(was, Newer)}
            left = [change for change in left if change.id in newer]
            if not left:
                break
            try:
                await self._refresh(newer.items())
            except StoreUnavailable as error:
                done |= dict.fromkeys(newer, error)
                break
        else:
            done |= {one: Overloaded(f"item {one!r}: others keep writing it") for one in newer}
        return [done[change.id] for change in changes]

    async def _try(
        self, changes: Sequence[Change], newer: Mapping[str, int]
    ) -> dict[str, Outcome | Newer]:
        """Write changes once.

        Each must be the next one after what it hangs on: what is known here, or what was tried to
        take over and cannot be read (`newer`).
        """
        outcomes: dict[str, Outcome | Newer] = {}
        made: dict[str, tuple[ItemRecord, Record]] = {}
        based_on: dict[str, int | None] = {}
        for change in changes:
            one = change.id
            served = self._generation.get(one) if change.merges else None
            if change.merges and served is None:
                outcomes[one] = UnknownItem(one)
                continue
            item = change.applied(served, self._generation.written(one))
            made[one] = (item, self._generation.served(item).record)
            known = max(self._generation.known_rev(one), newer.get(one, 0))
            based_on[one] = known if change.hangs_on_before else None
        vectors = embed_each(self._embedder, "item", [record for _, record in made.values()])
        ready = []
        for (one, (item, record)), vector in zip(made.items(), vectors, strict=True):
            if isinstance(vector, RecordError):
                outcomes[one] = vector
            else:
                ready.append((item, record, vector))
        written = await self._store.write_items(
            [(item, vector) for item, _, vector in ready],
            self._generation.version,
            max(self._generation.highest_rev, *newer.values(), 0),
            [based_on[item.id] for item, _, _ in ready],
        )
        return outcomes | {
            row[0].id: self._posted(*row, was) if isinstance(was, Written) else was
            for row, was in zip(ready, written, strict=True)
        }

    def _posted(
        self, item: ItemRecord, record: Record, vector: Vectors, written: Written
    ) -> Posted:
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
    as_of = None
    if item.preference is not None:
        as_of = item.preference_as_of or str(written.log_id)
    return replace(item, rev=written.rev, preference_as_of=as_of)
