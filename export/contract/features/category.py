"""Category: one word of a vocabulary."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import pyarrow as pa

from export.contract.features.base import (
    MISSING_ROW,
    MISSING_TOKEN,
    UNKNOWN_ROW,
    Array,
    Form,
    Input,
    Raw,
    Tables,
    check_word,
    some_words,
)
from export.contract.features.column import Column, Tokens
from export.contract.features.vocabulary import Worded, bucket_rows, word_rows

if TYPE_CHECKING:
    from export.contract.encoder import Graph


EXPECTED = "a non-empty word, a whole number, true, false or null"


class Category(Worded):
    """One word, which has one row of a table."""

    kind: Literal["category"] = "category"

    gives = frozenset({"category"})

    @property
    def form(self) -> Form:
        """One table row."""
        return "id"

    def parse(self, value: object) -> Raw:
        """Read a word, a whole number or a boolean."""
        return None if value is None else check_word(value, EXPECTED)

    def cell(self, value: object) -> Raw:
        """Read one cell; an empty one is missing."""
        return None if value == "" else self.parse(value)

    def column(self, name: str, cells: pa.ChunkedArray) -> Column | None:
        """Read each distinct word once."""
        return Tokens.of(name, self, cells, "strings", self.token)

    def words(self, value: Raw) -> Iterable[str]:
        """Return the word itself."""
        return () if value is None else (str(value),)

    def token(self, value: Raw) -> str:
        """Return what a tower file takes for a parsed value."""
        if value is None:
            return MISSING_TOKEN
        return str(value) if self.buckets is None else self.tokens([str(value)])[0]

    @property
    def column_type(self) -> pa.DataType:
        """Text."""
        return pa.string()

    def invent(self, words: Sequence[str], rng: np.random.Generator) -> Raw:
        """Draw a word."""
        return some_words(words, 1, rng)[0]

    @classmethod
    def inputs(cls, features: Mapping[str, Self]) -> list[Input]:
        """All categories of a side share one packed string tensor."""
        return [Input("strings", "string", ("batch", len(features)))] if features else []

    @classmethod
    def pack(
        cls, features: Mapping[str, Self], records: Sequence[Mapping[str, Raw]]
    ) -> dict[str, Array]:
        """Fill `strings` [batch, features]."""
        if not features:
            return {}
        rows = [[f.token(record.get(name)) for name, f in features.items()] for record in records]
        return {"strings": np.array(rows, dtype=object).reshape(len(rows), len(features))}

    @classmethod
    def graph(cls, features: Mapping[str, Self], tables: Tables, graph: "Graph") -> None:
        """Look all columns up at once: the column's name goes in front of each word.

        The separator is U+001F, which no word holds, so no two columns' keys can meet.
        """
        if not features:
            return
        keys: list[str] = []
        rows: list[int] = []
        for name in features:
            words = tables.get(name, ())  # a hashed vocabulary has none
            keys += [f"{name}\x1f{MISSING_TOKEN}", *(f"{name}\x1f{word}" for word in words)]
            rows += [MISSING_ROW, *word_rows(words)]
        prefix = graph.constant(np.array([f"{name}\x1f" for name in features], dtype=object))
        named = graph.node("StringConcat", [prefix, "strings"])
        row = graph.lookup(named, keys, rows, default=UNKNOWN_ROW)
        buckets = np.array([[f.buckets or 0 for f in features.values()]])
        if buckets.any():
            unknown = graph.node("Equal", [row, graph.constant(np.array(UNKNOWN_ROW))])
            is_bucket = graph.node("And", [unknown, graph.constant(buckets > 0)])
            row = bucket_rows("strings", row, is_bucket, buckets, graph)
        graph.emit_ids(row)
        graph.offer(list(features), "strings", row)
