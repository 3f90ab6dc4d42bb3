"""Cross: two categories of one side together, as one word."""

from collections.abc import Iterable, Mapping, Sequence
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

PLACE = 2_654_435_761  # above any row, so that no two pairs of rows make one number
GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # 2^64 / golden ratio, odd: Knuth, TAOCP 3, section 6.4


class Cross(Worded, Made):
    """The pair of two categories, made in the encoder graph; missing if either is missing.

    It is never given. A learned vocabulary holds the pairs of words met in training; a hashed
    one gives the pair of their rows one of `buckets`, so words that share a row share it here.
    """

    kind: Literal["cross"] = "cross"
    vocabulary: Literal["learned", "hashed"] = "learned"
    of: tuple[str, str] = Field()

    @model_validator(mode="after")
    def _of_two(self) -> Self:
        if self.of[0] == self.of[1]:
            raise ValueError(f"of: got {self.of[0]!r} twice, expected two features")
        return self

    @property
    def form(self) -> Form:
        """One table row."""
        return "id"

    @property
    def made_of(self) -> tuple[str, ...]:
        """The two categories."""
        return self.of

    def check_sources(self, sources: Sequence[FeatureKind]) -> None:
        """Take given categories only."""
        for name, source in zip(self.of, sources, strict=True):
            if not isinstance(source, Category) or source.statistic is not None:
                raise ValueError(f"of: {name!r} is no category that is given")

    def make(self, sources: Sequence[FeatureKind], values: Sequence[Raw]) -> Raw:
        """Join what the tower file takes for the two words."""
        if any(value is None for value in values):
            return None
        pairs = zip(sources, values, strict=True)
        return MISSING_TOKEN.join(s.token(v) for s, v in pairs if isinstance(s, Category))

    def rows_of_unknown(self, sources: Sequence[Array]) -> Array:
        """Return the unknown row, a hashed cross that of the mixed rows; missing stays missing."""
        first, second = sources
        row = UNKNOWN_ROW if self.buckets is None else mixed_rows(first, second, self.buckets)
        return np.where((first == MISSING_ROW) | (second == MISSING_ROW), MISSING_ROW, row)

    def parse(self, value: object) -> Raw:
        """Refuse any value."""
        raise Mismatch(f"no value, since it is made of {self.of[0]!r} and {self.of[1]!r}")

    def words(self, value: Raw) -> Iterable[str]:
        """Return the pair that `make` joined."""
        return () if value is None else (str(value),)

    def is_word(self, word: str) -> bool:
        """Whether this is two words joined."""
        first, joint, second = word.partition(MISSING_TOKEN)
        return bool(joint) and super().is_word(first) and super().is_word(second)

    @property
    def meaning(self) -> dict[str, object]:
        """Which two categories, in their order."""
        return {**super().meaning, "of": self.of}

    @property
    def rows_by(self) -> tuple[object, ...]:
        """What decides which row a pair has."""
        return ("pairs", *super().rows_by)

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
            graph.emit_ids(graph.node("Where", [graph.node("Or", absent), missing, row]))


def mixed_rows(first: Array, second: Array, buckets: int) -> Array:
    """Return the rows of hashed pairs, int64[n], as `_mixed_row` has the graph work them out."""
    number = first.astype(np.uint64) * np.uint64(PLACE) + second.astype(np.uint64)
    high = (number * np.uint64(GOLDEN % 2**64)) >> np.uint64(33)
    return FIRST_WORD_ROW + (high % np.uint64(buckets)).astype(np.int64)


def _joined_row(words: Sequence[str], pairs: Sequence[str], graph: "Graph") -> str:
    joint = graph.constant(np.array(MISSING_TOKEN, dtype=object))
    joined = graph.node("StringConcat", [graph.node("StringConcat", [words[0], joint]), words[1]])
    return graph.lookup(joined, pairs, list(word_rows(pairs)), default=UNKNOWN_ROW)


def _mixed_row(rows: Sequence[str], buckets: int, graph: "Graph") -> str:
    """Return 3 + (((first * PLACE + second) * GOLDEN mod 2^64) >> 33) mod buckets."""

    def whole(number: int) -> str:
        return graph.constant(np.array(number, dtype=np.int64))

    number = graph.node("Add", [graph.node("Mul", [rows[0], whole(PLACE)]), rows[1]])
    spread = graph.node("Cast", [graph.node("Mul", [number, whole(GOLDEN)])], to=graph.UINT64)
    shift = graph.constant(np.array(33, dtype=np.uint64))
    high = graph.node("BitShift", [spread, shift], direction="RIGHT")
    bucket = graph.node("Mod", [graph.node("Cast", [high], to=graph.INT64), whole(buckets)])
    return graph.node("Add", [bucket, whole(FIRST_WORD_ROW)])
