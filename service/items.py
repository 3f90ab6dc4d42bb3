"""The item use case: check, embed, store and serve what is written; read and remove it."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from export.contract.errors import RecordError
from export.embedder import Embedder
from service.catalogue.change import Change, read_patch, read_post
from service.generation import Generation
from service.intake import Intake
from service.item import DeltaFull, Item, Outcome, Posted
from service.item_writer import ItemWriter, Spread, numbered
from service.records import HIGHEST_REV, ItemRecord, state_of
from service.store import Store, StoreUnavailable, Written

__all__ = ["DeltaFull", "Item", "Items", "Outcome", "Posted"]

SLICE = 64
"""Items embedded and written at once, before others on the event loop have their turn."""


def _alone(written: Sequence[ItemRecord]) -> set[str]:
    del written
    return set()


class Items:
    """Items of one generation, and of the store behind it.

    intake: takes over what others wrote.
    spread: has the other versions of the process take over what was written; returns the ids of
        what one of them cannot serve.
    delta_most: how many rows of a delta may await growth.
    """

    def __init__(
        self,
        generation: Generation,
        embedder: Embedder,
        store: Store,
        intake: Intake,
        spread: Spread | None = None,
        *,
        delta_most: int = 20_000,
    ) -> None:
        self._generation = generation
        self._store = store
        self._intake = intake
        self._spread = spread or _alone
        self._writer = ItemWriter(generation, embedder, store, intake, self._spread)
        self._side = generation.schema.item
        self._delta_most = delta_most

    async def post(
        self, posted: Sequence[object], note: Callable[[Sequence[str]], None] | None = None
    ) -> list[Outcome]:
        """Write items; each has its outcome, in order, and a bad one loses no good one.

        Of two with one id the later one wins. A write whose outcome is StoreUnavailable may have
        happened; to post it again does no harm.

        Args:
            posted: Flat records as JSON has them, each with its `id`.
            note: Is told the ids of what may be written, in order, some at once, before it is.

        """
        outcomes: list[Outcome] = []
        for part in self._slices(posted):
            changes = [one for one in part if isinstance(one, Change)]
            if note is not None:
                note([change.id for change in changes])
            done = iter(await self._writer.write(changes))
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
                await self._intake.look_up([(one, HIGHEST_REV)])
            except StoreUnavailable as error:
                return error
        [outcome] = await self._writer.write([change])
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
            return DeltaFull(f"{self._delta_most} items await growth of the index")
        return change

    async def delete(self, one: str) -> Written:
        """Remove an item, known or not, for good: a later bundle does not bring it back.

        Raises StoreUnavailable, after which it may be removed or not.
        """
        generation = self._generation
        item = ItemRecord(one, 0, "delete")
        written = await self._store.write_item(
            item, None, generation.version, generation.highest_rev
        )
        removed = numbered(item, written)
        generation.apply(removed, None)
        self._spread([removed])  # which a removal never fails: it needs no vector
        return written

    def get(self, one: str) -> Item | None:
        """Return an item as it is served here; None if it is unknown or removed."""
        item = self._generation.get(one)
        vector = self._generation.vector(one)
        if item is None or vector is None:
            return None
        state, dropped = state_of(self._side, item.record)
        return Item(one, item.record, state, dropped, self._generation.version, vector)
