"""Cross: categories of one side together, as one word."""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from export.contract.features.base import (
    FIRST_WORD_ROW,
    MISSING_ROW,
    MISSING_TOKEN,
    UNKNOWN_ROW,
    Array,
    FeatureKind,
    Form,
    Input,
    Made,
    Mismatch,
    Raw,
    Tables,
)
from export.contract.features.category import Category
from export.contract.features.vocabulary import Worded, word_rows

if TYPE_CHECKING:
    from export.contract.encoder import Graph

PLACE = 2_654_435_761  # odd and above any row, so that no two pairs of rows make one number
GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # 2^64 / golden ratio, odd: Knuth, TAOCP 3, section 6.4


class Cross(Worded, Made):
    """Two or more categories as one, made in the encoder graph; missing if any of them is.

    It is never given. A learned vocabulary holds the words met together in training; a hashed
    one gives their rows together one of `buckets`, so words that share a row share it here.
    """

    kind: Literal["cross"] = "cross"
    vocabulary: Literal["learned", "hashed"] = "learned"
    of: tuple[str, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _of_several(self) -> Self:
        for one in self.of:
            if self.of.count(one) > 1:
                raise ValueError(f"of: got {one!r} twice, expected features that differ")
        return self

    @property
    def form(self) -> Form:
        """One table row."""
        return "id"

    @property
    def made_of(self) -> tuple[str, ...]:
        """The categories."""
        return self.of

    def check_sources(self, sources: Sequence[FeatureKind]) -> None:
        """Take given categories only."""
        for name, source in zip(self.of, sources, strict=True):
            if not isinstance(source, Category) or source.statistic is not None:
                raise ValueError(f"of: {name!r} is no category that is given")

    def make(self, sources: Sequence[FeatureKind], values: Sequence[Raw]) -> Raw:
        """Join what the tower file takes for the words."""
        if any(value is None for value in values):
            return None
        parts = zip(sources, values, strict=True)
        return MISSING_TOKEN.join(s.token(v) for s, v in parts if isinstance(s, Category))

    def rows_of_unknown(self, sources: Sequence[Array]) -> Array:
        """Return the unknown row, a hashed cross that of the mixed rows; missing stays missing."""
        row = UNKNOWN_ROW if self.buckets is None else mixed_rows(sources, self.buckets)
        absent = np.any([one == MISSING_ROW for one in sources], axis=0)
        return np.where(absent, MISSING_ROW, row)

    def parse(self, value: object) -> Raw:
        """Refuse any value."""
        parts = " and ".join(map(repr, self.of))
        raise Mismatch(f"no value, since it is made of {parts}")

    def words(self, value: Raw) -> Iterable[str]:
        """Return the word that `make` joined."""
        return () if value is None else (str(value),)

    def is_word(self, word: str) -> bool:
        """Whether this is as many words joined as there are categories."""
        parts = word.split(MISSING_TOKEN)
        return len(parts) == len(self.of) and all(map(super().is_word, parts))

    @property
    def meaning(self) -> dict[str, object]:
        """Which two categories, in their order."""
        return {**super().meaning, "of": self.of}

    @property
    def rows_by(self) -> tuple[object, ...]:
        """What decides which row the words together have."""
        return (f"joined {len(self.of)}", *super().rows_by)

    @property
    def column_type(self) -> pa.DataType:
        """None: it is never stored."""
        return pa.null()

    def invent(self, words: Sequence[str], rng: np.random.Generator) -> Raw:
        """Make nothing up: it is never given."""
        del words, rng
        return None

    @classmethod
    def inputs(cls, features: Mapping[str, Self]) -> list[Input]:
        """None: those of its categories serve."""
        return []

    @classmethod
    def pack(
        cls, features: Mapping[str, Self], records: Sequence[Mapping[str, Raw]]
    ) -> dict[str, Array]:
        """Fill nothing."""
        return {}

    @classmethod
    def graph(cls, features: Mapping[str, Self], tables: Tables, graph: "Graph") -> None:
        """Look the joined words up, or mix the rows."""
        missing = graph.constant(np.array(MISSING_ROW, dtype=np.int64))
        for name, feature in features.items():
            rows = [graph.row_of(one) for one in feature.of]
            absent = [graph.node("Equal", [row, missing]) for row in rows]
            if feature.buckets is None:
                row = _joined_row([graph.word_of(one) for one in feature.of], tables[name], graph)
            else:
                row = _mixed_row(rows, feature.buckets, graph)
            is_absent = reduce(lambda a, b: graph.node("Or", [a, b]), absent)
            graph.emit_ids(graph.node("Where", [is_absent, missing, row]))


def mixed_rows(rows: Sequence[Array], buckets: int) -> Array:
    """Return the hashed rows, int64[n], of rows together, as `_mixed_row` has the graph do it."""
    number = reduce(lambda a, b: a * np.uint64(PLACE) + b, [one.astype(np.uint64) for one in rows])
    high = (number * np.uint64(GOLDEN % 2**64)) >> np.uint64(33)
    return FIRST_WORD_ROW + (high % np.uint64(buckets)).astype(np.int64)


def _joined_row(words: Sequence[str], table: Sequence[str], graph: "Graph") -> str:
    joint = graph.constant(np.array(MISSING_TOKEN, dtype=object))
    joined = reduce(
        lambda a, b: graph.node("StringConcat", [graph.node("StringConcat", [a, joint]), b]), words
    )
    return graph.lookup(joined, table, list(word_rows(table)), default=UNKNOWN_ROW)


def _mixed_row(rows: Sequence[str], buckets: int, graph: "Graph") -> str:
    """Return 3 + (((first * PLACE + second) * GOLDEN mod 2^64) >> 33) mod buckets.

    A third row takes the place of `second`, and what the first two made that of `first`.
    """

    def whole(number: int) -> str:
        return graph.constant(np.array(number, dtype=np.int64))

    number = reduce(lambda a, b: graph.node("Add", [graph.node("Mul", [a, whole(PLACE)]), b]), rows)
    spread = graph.node("Cast", [graph.node("Mul", [number, whole(GOLDEN)])], to=graph.UINT64)
    shift = graph.constant(np.array(33, dtype=np.uint64))
    high = graph.node("BitShift", [spread, shift], direction="RIGHT")
    bucket = graph.node("Mod", [graph.node("Cast", [high], to=graph.INT64), whole(buckets)])
    return graph.node("Add", [bucket, whole(FIRST_WORD_ROW)])
