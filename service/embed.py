"""The embed use case: records become vectors, and nothing is stored."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from export.contract.concepts import ConceptTable
from export.contract.errors import Fault, RecordError, SchemaError
from export.contract.side import Record, SideName
from export.contract.tables import id_fault
from export.embedder import Embedder, Vectors
from service.records import State, state_of

SLICE = 64
"""Records embedded at once, before others on the event loop have their turn."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A vector, and how it was made; with the id that came with the record, if one did."""

    id: str | None
    state: State
    dropped: list[str]
    vector: Vectors


class Embed:
    """Makes vectors with the towers of one bundle version, and what it knows of concepts."""

    def __init__(self, concepts: ConceptTable, embedder: Embedder) -> None:
        self._schema = concepts.schema
        self._concepts = concepts
        self._embedder = embedder

    async def embed(self, side: SideName, posted: Sequence[object]) -> list[Embedded | RecordError]:
        """Return a vector for each record, in order; a bad one loses no good one.

        Args:
            side: Whose tower.
            posted: Flat records as JSON has them; an id is no must, and context features count.

        """
        outcomes: list[Embedded | RecordError] = []
        for start in range(0, len(posted), SLICE):
            outcomes += self._embed(side, posted[start : start + SLICE])
            await asyncio.sleep(0)
        return outcomes

    def _embed(self, side: SideName, posted: Sequence[object]) -> list[Embedded | RecordError]:
        parsed = [self._parse(side, one) for one in posted]
        good = [one[1] for one in parsed if not isinstance(one, RecordError)]
        vectors = iter(embed_each(self._embedder, side, good))
        return [
            one if isinstance(one, RecordError) else self._embedded(side, *one, next(vectors))
            for one in parsed
        ]

    def _parse(self, side: SideName, posted: object) -> tuple[str | None, Record] | RecordError:
        if not isinstance(posted, Mapping):
            return RecordError([Fault.of(side, posted, "an object of features")])
        flat = dict(posted)
        one = flat.pop("id", None)
        if flat.get("preference", "") is None:  # it says that there is none, as in a post
            del flat["preference"]
        expected = None if one is None else id_fault(one)
        faults = [] if expected is None else [Fault.of("id", one, expected)]
        try:
            record = self._schema.side(side).parse(flat)
        except RecordError as error:
            return RecordError([*faults, *error.faults])
        return RecordError(faults) if faults else (one, self._concepts.join(side, record))

    def _embedded(
        self, side: SideName, one: str | None, record: Record, vector: Vectors | RecordError
    ) -> Embedded | RecordError:
        if isinstance(vector, RecordError):
            return vector
        features = self._schema.side(side)
        state, dropped = state_of(features, record)
        context = [name for name in features.context if name in features.given]
        missing = [f"context.{name}" for name in context if name not in record]
        return Embedded(one, state, [*dropped, *missing], vector)


def embed_each(
    embedder: Embedder, side: SideName, records: Sequence[Record]
) -> list[Vectors | RecordError]:
    """Compute vectors; a record so large that the tower overflows takes none along."""
    if not records:
        return []
    try:
        return list(embedder.embed(side, records))
    except SchemaError:
        if len(records) > 1:
            return [one for record in records for one in embed_each(embedder, side, [record])]
        expected = "features of a size that the tower was trained on"
        return [RecordError([Fault(side, "features without a vector", expected)])]
