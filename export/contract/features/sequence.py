"""Sequence: several words in order, oldest first, of which the newest are kept."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from export.contract.features.base import (
    MISSING_TOKEN,
    Array,
    Form,
    Input,
    Mismatch,
    Raw,
    Tables,
    check_word,
    some_words,
)
from export.contract.features.tags import long_enough, pad
from export.contract.features.vocabulary import Worded, bag_graph

if TYPE_CHECKING:
    from export.contract.encoder import Graph


EXPECTED = "a list of non-empty words, oldest first, or null"


class SequenceFeature(Worded):
    """Words in order of time, oldest first; the newest `max_length` are kept.

    `max_length` is the `n` of an aggregate `last` unless given. In a table a text cell is split
    at `separator`, and an empty one is missing.
    """

    kind: Literal["sequence"] = "sequence"
    max_length: int = Field(50, ge=1)
    separator: str = Field(",", min_length=1)

    gives = frozenset({"sequence"})

    @model_validator(mode="before")
    @classmethod
    def _holds_its_statistic(cls, data: object) -> object:
        return long_enough(data, "n")

    @property
    def form(self) -> Form:
        """Several table rows."""
        return "bag"

    def parse(self, value: object) -> Raw:
        """Read a list of words."""
        if value is None:
            return None
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
            raise Mismatch(EXPECTED)
        return [check_word(word, EXPECTED) for word in value]

    def cell(self, value: object) -> Raw:
        """Read one cell: a list, or text to be split; empty text is missing."""
        if isinstance(value, str):
            value = [word.strip() for word in value.split(self.separator) if word.strip()] or None
        return self.parse(value)

    def words(self, value: Raw) -> Iterable[str]:
        """Return every word, repeats included."""
        return value if isinstance(value, list) else ()

    @property
    def column_type(self) -> pa.DataType:
        """A list of text."""
        return pa.list_(pa.string())

    def invent(self, words: Sequence[str], rng: np.random.Generator) -> Raw:
        """Draw up to three words more than fit."""
        return some_words(words, int(rng.integers(1, self.max_length + 4)), rng)

    @classmethod
    def inputs(cls, features: Mapping[str, Self]) -> list[Input]:
        """Each sequence is an input of its own, padded to the longest of the batch."""
        return [Input(name, "string", ("batch", f"{name}.length")) for name in features]

    @classmethod
    def pack(
        cls, features: Mapping[str, Self], records: Sequence[Mapping[str, Raw]]
    ) -> dict[str, Array]:
        """Fill `<feature>` [batch, length]."""
        return {
            name: pad([feature._newest(record.get(name)) for record in records])
            for name, feature in features.items()
        }

    @classmethod
    def graph(cls, features: Mapping[str, Self], tables: Tables, graph: "Graph") -> None:
        """Look each sequence up in its table."""
        for name, feature in features.items():
            bag_graph(name, name, feature, tables.get(name, ()), graph)

    def _newest(self, value: Raw) -> list[str]:
        if not isinstance(value, list):
            return [MISSING_TOKEN]
        return self.tokens(value[-self.max_length :])
