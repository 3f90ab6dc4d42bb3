"""Sequence: several words in order, oldest first, of which the newest are kept."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field

from export.contract.features.bag import Bag, listed_words, pad, parts_of
from export.contract.features.base import MISSING_TOKEN, Array, Raw
from export.contract.features.column import Column
from export.contract.features.lists import Lists, WordLists

EXPECTED = "a list of non-empty words, oldest first, or null"


class SequenceFeature(Bag):
    """Words in order of time, oldest first; the newest `max_length` are kept.

    `max_length` is the `n` of an aggregate `last` unless given. In a table a text cell is split
    at `separator`, and an empty one is missing.
    """

    kind: Literal["sequence"] = "sequence"
    separator: str = Field(",", min_length=1)

    gives = frozenset({"sequence"})

    length_of_statistic = "n"

    def parse(self, value: object) -> Raw:
        """Read a list of words."""
        return None if value is None else listed_words(value, EXPECTED)

    def cell(self, value: object) -> Raw:
        """Read one cell: a list, or text to be split; empty text is missing."""
        if isinstance(value, str):
            value = parts_of(value, self.separator) or None
        return self.parse(value)

    def column(self, name: str, cells: pa.ChunkedArray) -> Column | None:
        """Take the newest words of each list."""
        lists = Lists.of(cells)
        if lists is None:
            return None
        return WordLists.of(name, lists.last(self.max_length), self.tokens, EXPECTED)

    def words(self, value: Raw) -> Iterable[str]:
        """Return every word, repeats included."""
        return value if isinstance(value, list) else ()

    @property
    def column_type(self) -> pa.DataType:
        """A list of text."""
        return pa.list_(pa.string())

    def invent(self, words: Sequence[str], rng: np.random.Generator) -> Raw:
        """Draw up to three words more than fit."""
        return self.draw(words, rng)

    @classmethod
    def pack(
        cls, features: Mapping[str, Self], records: Sequence[Mapping[str, Raw]]
    ) -> dict[str, Array]:
        """Fill `<feature>` [batch, length]."""
        return {
            name: pad([feature._newest(record.get(name)) for record in records])
            for name, feature in features.items()
        }

    def _newest(self, value: Raw) -> list[str]:
        if not isinstance(value, list):
            return [MISSING_TOKEN]
        return self.tokens(value[-self.max_length :])
