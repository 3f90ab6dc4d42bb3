"""The embed use case: records become vectors, and nothing is stored."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from export.contract.errors import Fault, RecordError, SchemaError
from export.contract.side import Record, SideName
from export.contract.tables import id_fault
from export.embedder import Embedder, Vectors
from service.generation import Generation
from service.http.bounds import list_of
from service.known_user import AskedUser, UserReader
from service.records import State, state_of

SLICE = 32
"""What is embedded at once, before others on the event loop have their turn: a record weighs 1, and
1 more for each item id of its history."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A vector, and how it was made; with the id that came with the record, if one did."""

    id: str | None
    state: State
    dropped: list[str]
    vector: Vectors


@dataclass(frozen=True, slots=True)
class _Read:
    """A record as a tower is given it; preference counts where the state is warm."""

    id: str | None
    record: Record
    state: State
    dropped: list[str]


class Embed:
    """Makes vectors with the towers of one generation, and what it knows of items and concepts.

    history_most: item ids in the `history` of a user.
    """

    def __init__(self, generation: Generation, embedder: Embedder, history_most: int) -> None:
        self._schema = generation.schema
        self._concepts = generation.bundle.concepts
        self._users = UserReader(generation.schema.user, generation, self._concepts)
        self._embedder = embedder
        self._history_most = history_most

    async def embed(self, side: SideName, posted: Sequence[object]) -> list[Embedded | RecordError]:
        """Return a vector for each record, in order; a bad one loses no good one.

        Args:
            side: Whose tower.
            posted: Flat records as JSON has them; an id is no must. Among a user's features count
                those of the context, and a `history`; what is made of them is what a recall makes.

        """
        outcomes: list[Embedded | RecordError] = []
        for part in slices(posted):
            outcomes += self._embed(side, part)
            await asyncio.sleep(0)
        return outcomes

    def _embed(self, side: SideName, posted: Sequence[object]) -> list[Embedded | RecordError]:
        read = [self._read(side, one) for one in posted]
        good = [one for one in read if isinstance(one, _Read)]
        present = [one.state == "warm" for one in good]
        vectors = iter(embed_each(self._embedder, side, [one.record for one in good], present))
        return [
            one if isinstance(one, RecordError) else _embedded(one, next(vectors)) for one in read
        ]

    def _read(self, side: SideName, posted: object) -> _Read | RecordError:
        if not isinstance(posted, Mapping):
            return RecordError([Fault.of(side, posted, "an object of features")])
        flat = dict(posted)
        one = flat.pop("id", None)
        expected = None if one is None else id_fault(one)
        faults = [] if expected is None else [Fault.of("id", one, expected)]
        history = flat.pop("history", None) if side == "user" else None
        faults += self._history_faults(history)
        forgets = flat.get("preference", "") is None  # it says that there is none, as in a post
        if forgets:
            del flat["preference"]
        try:
            record = self._schema.side(side).parse(flat)
        except RecordError as error:
            return RecordError([*faults, *error.faults])
        if faults:
            return RecordError(faults)
        if side == "user":
            return self._user(one, record, frozenset(flat), history, forgets=forgets)
        told = self._concepts.join(side, record)
        return _Read(one, told, *state_of(self._schema.item, told))

    def _history_faults(self, history: object) -> list[Fault]:
        if history is None:
            return []
        expected = list_of("ids", self._history_most)
        if not isinstance(history, list) or not all(isinstance(one, str) for one in history):
            return [Fault.of("history", history, expected)]
        if len(history) > self._history_most:
            return [Fault("history", f"{len(history)} ids", expected)]
        return []

    def _user(
        self,
        one: str | None,
        record: Record,
        named: frozenset[str],
        history: list[str] | None,
        *,
        forgets: bool,
    ) -> _Read:
        """Read a user as a recall does one of whom nothing is stored."""
        side = self._schema.user
        asked = AskedUser(
            user={name: value for name, value in record.items() if name not in side.context},
            settled=(named - side.context.keys()) | (side.preference.keys() if forgets else set()),
            context={name: value for name, value in record.items() if name in side.context},
            history=history,
        )
        known = self._users.read(asked, {})
        return _Read(one, known.record, known.state, known.dropped)


def slices(posted: Sequence[object]) -> Iterator[Sequence[object]]:
    """Cut records where they weigh more than SLICE together; a heavier one stands alone."""
    start, weight = 0, 0
    for place, one in enumerate(posted):
        history = one.get("history") if isinstance(one, Mapping) else None
        own = 1 + (len(history) if isinstance(history, list) else 0)
        if place > start and weight + own > SLICE:
            yield posted[start:place]
            start, weight = place, 0
        weight += own
    if start < len(posted):
        yield posted[start:]


def _embedded(read: _Read, vector: Vectors | RecordError) -> Embedded | RecordError:
    if isinstance(vector, RecordError):
        return vector
    return Embedded(read.id, read.state, read.dropped, vector)


def embed_each(
    embedder: Embedder,
    side: SideName,
    records: Sequence[Record],
    present: Sequence[bool] | None = None,
) -> list[Vectors | RecordError]:
    """Compute vectors; a record so large that the tower overflows takes none along.

    `present` says whose preference counts, as for `Embedder.embed`.
    """
    if not records:
        return []
    try:
        return list(embedder.embed(side, records, present))
    except SchemaError:
        if len(records) > 1:
            rows = [slice(place, place + 1) for place in range(len(records))]
            parts = [(records[row], None if present is None else present[row]) for row in rows]
            return [one for part in parts for one in embed_each(embedder, side, *part)]
        expected = "features of a size that the tower was trained on"
        return [RecordError([Fault(side, "features without a vector", expected)])]
