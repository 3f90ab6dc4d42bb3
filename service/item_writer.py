"""Writes changes of items so that none of another replica, or of another request, is lost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from export.contract.errors import RecordError
from export.contract.side import Record
from export.contract.similarity import count_clipped
from export.embedder import Embedder, Vectors
from service.catalogue.change import Change
from service.embed import embed_each
from service.errors import Overloaded, UnknownItem
from service.generation import Generation
from service.intake import Intake
from service.item import Outcome, Posted
from service.observe import ITEMS_CLIPPED
from service.records import ItemRecord, state_of
from service.store import Newer, Store, StoreUnavailable, Written

ATTEMPTS = 10
"""How often a change is tried while others write the item too; one of them gets on each time."""

Spread = Callable[[Sequence[ItemRecord]], set[str]]


@dataclass(frozen=True, slots=True)
class _Made:
    """A record to write, as it will be served, and the rev that the item must still be of."""

    item: ItemRecord
    record: Record
    based_on: int | None


class ItemWriter:
    """Writes into the store, and into the generation what the store has taken.

    intake: takes over what others wrote meanwhile.
    spread: has the other versions of the process take over what was written; returns the ids of
        what one of them cannot serve.
    """

    def __init__(
        self,
        generation: Generation,
        embedder: Embedder,
        store: Store,
        intake: Intake,
        spread: Spread,
    ) -> None:
        self._generation = generation
        self._embedder = embedder
        self._store = store
        self._intake = intake
        self._spread = spread
        self._side = generation.schema.item

    async def write(self, changes: Sequence[Change]) -> list[Outcome]:
        """Write changes of different items, in order; each has its outcome.

        One whose item somebody else wrote meanwhile is made anew of what is there then.
        """
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
                await self._intake.look_up(newer.items())
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
        made: list[_Made] = []
        for change in changes:
            one = self._made(change, newer.get(change.id, 0))
            if one is None:
                outcomes[change.id] = UnknownItem(change.id)
            else:
                made.append(one)
        vectors = embed_each(self._embedder, "item", [one.record for one in made])
        ready = []
        for one, vector in zip(made, vectors, strict=True):
            if isinstance(vector, RecordError):
                outcomes[one.item.id] = vector
            else:
                ready.append((one, vector))
        written = await self._store.write_items(
            [(one.item, vector) for one, vector in ready],
            self._generation.version,
            max(self._generation.highest_rev, *newer.values(), 0),
            [one.based_on for one, _ in ready],
        )
        outcomes |= {
            one.item.id: self._posted(one, vector, was) if isinstance(was, Written) else was
            for (one, vector), was in zip(ready, written, strict=True)
        }
        taken = [
            numbered(one.item, was)
            for (one, _), was in zip(ready, written, strict=True)
            if isinstance(was, Written)
        ]
        for lacking in self._spread(taken):
            posted = outcomes[lacking]
            assert isinstance(posted, Posted), "what is lacking was written"
            outcomes[lacking] = replace(posted, searchable=False)
        return outcomes

    def _made(self, change: Change, newer: int) -> _Made | None:
        """Return the record to write; None if there is nothing that a patch could merge into."""
        generation, one = self._generation, change.id
        base = generation.base(one) if change.merges else None
        if change.merges and base is None:
            return None
        item = change.applied(base, generation.written(one))
        known = max(generation.known_rev(one), newer)
        record = generation.served(item).record
        return _Made(item, record, known if change.hangs_on_before else None)

    def _posted(self, made: _Made, vector: Vectors, written: Written) -> Posted:
        item = made.item
        in_bundle = item.id in self._generation.catalogue.ids
        self._generation.apply(numbered(item, written), vector)
        ITEMS_CLIPPED.inc(count_clipped(self._generation.schema.similarity, vector[None]))
        state, dropped = state_of(self._side, made.record)
        return Posted(
            id=item.id,
            record=made.record,
            state=state,
            dropped=dropped,
            version=self._generation.version,
            vector=vector,
            created=written.before == "delete" or (written.before == "nothing" and not in_bundle),
            rev=written.rev,
            log_id=str(written.log_id),
            not_durable=written.fault,
        )


def numbered(item: ItemRecord, written: Written) -> ItemRecord:
    """Return an item as the store now holds it."""
    as_of = None
    if item.preference is not None:
        as_of = item.preference_as_of or str(written.log_id)
    return replace(item, rev=written.rev, preference_as_of=as_of)
