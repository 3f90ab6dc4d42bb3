"""Category: one word of a vocabulary."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field

from export.contract.features.base import (
    FIRST_WORD_ROW,
    MISSING_ROW,
    MISSING_TOKEN,
    UNKNOWN_ROW,
    Array,
    FeatureKind,
    Form,
    Input,
    Raw,
    TableName,
    Tables,
    check_word,
    some_words,
)

if TYPE_CHECKING:
    from export.contract.encoder import Graph


EXPECTED = "a non-empty word, a whole number, true, false or null"


class Category(FeatureKind):
    """One word; words seen fewer than `min_count` times share the row of unknown words."""

    kind: Literal["category"] = "category"
    table: TableName | None = None
    min_count: int = Field(2, ge=1)

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

    def words(self, value: Raw) -> Iterable[str]:
        """Return the word itself."""
        return () if value is None else (str(value),)

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
        rows = [
            [MISSING_TOKEN if (word := record.get(name)) is None else word for name in features]
            for record in records
        ]
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
            words = tables[name]
            keys += [f"{name}\x1f{MISSING_TOKEN}", *(f"{name}\x1f{word}" for word in words)]
            rows += [MISSING_ROW, *range(FIRST_WORD_ROW, FIRST_WORD_ROW + len(words))]
        prefix = graph.constant(np.array([f"{name}\x1f" for name in features], dtype=object))
        named = graph.node("StringConcat", [prefix, "strings"])
        graph.emit_ids(graph.lookup(named, keys, rows, default=UNKNOWN_ROW))
