"""Lists of words in a table's column, taken flat: cut, weighed and padded for all rows at once."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from export.contract.features.base import (
    MISSING_TOKEN,
    PADDING_TOKEN,
    Array,
    Mismatch,
    check_word,
)
from export.contract.features.column import Column, distinct, holds_words, is_list

PADDING, MISSING, FIRST = 0, 1, 2  # places among the words of a column


@dataclass(frozen=True, eq=False)
class Lists:
    """The lists of a column, one after another: the cells `cells[code]`, `lengths` to a row."""

    known: NDArray[np.bool_]  # [rows]: whether it has a list
    lengths: NDArray[np.int64]  # [rows]: 0 where nothing is known
    cells: list[object]
    code: NDArray[np.int32]  # [sum of lengths]
    weights: NDArray[np.float64] | None = None  # [sum of lengths]

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> Self | None:
        """Take a column of lists apart; None where it is another, or cannot hold words."""
        array = column.combine_chunks()
        if not is_list(array.type) or not holds_words(array.type.value_type):
            return None
        told = array.drop_null()
        known, lengths = _shape(array, pc.list_value_length(told).to_numpy())
        return cls(known, lengths, *distinct(pa.chunked_array([told.flatten()])))

    @classmethod
    def of_pairs(cls, column: pa.ChunkedArray) -> Self | None:
        """Take a map of words to numbers apart; None where a column is another, or has a gap."""
        array = column.combine_chunks()
        if not pa.types.is_map(array.type) or not holds_words(array.type.key_type):
            return None
        kind = array.type.item_type
        if not (pa.types.is_integer(kind) or kind in (pa.float32(), pa.float64())):
            return None
        told = array.drop_null()
        ends = told.offsets.to_numpy()
        words, weights = (held[ends[0] : ends[-1]] for held in (told.keys, told.items))
        if weights.null_count:
            return None
        numbers = weights.to_numpy().astype(np.float64, copy=False)
        known, lengths = _shape(array, np.diff(ends))
        return cls(known, lengths, *distinct(pa.chunked_array([words])), numbers)

    def each_once(self) -> Self:
        """Return the same with each cell of a list at its first place only."""
        if self._fits(1):
            return self
        rows = self._rows()
        cell = rows * len(self.cells) + self.code  # a list and a cell in it, as one number
        in_order = np.sort(cell)
        twice = in_order[1:][in_order[1:] == in_order[:-1]]
        if not len(twice):
            return self
        repeats = np.zeros(len(self.lengths), dtype=np.bool_)
        repeats[twice // len(self.cells)] = True
        places = np.flatnonzero(repeats[rows])  # few lists do: only of those is each first place
        _, first = np.unique(cell[places], return_index=True)
        kept = np.ones(len(cell), dtype=np.bool_)
        kept[places] = False
        kept[places[first]] = True
        return self._only(kept)

    def first(self, most: int) -> Self:
        """Return the same, cut to so many from the front."""
        return self if self._fits(most) else self._only(self._places() < most)

    def last(self, most: int) -> Self:
        """Return the same, cut to so many from the back."""
        if self._fits(most):
            return self
        return self._only(self._places() >= np.repeat(self.lengths - most, self.lengths))

    def _fits(self, most: int) -> bool:
        return int(self.lengths.max(initial=0)) <= most

    def _rows(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def _places(self) -> NDArray[np.int64]:
        """Return the place of each cell in its list."""
        starts = np.cumsum(self.lengths) - self.lengths
        return np.arange(len(self.code)) - np.repeat(starts, self.lengths)

    def _only(self, kept: NDArray[np.bool_]) -> Self:
        return replace(
            self,
            lengths=self.lengths - np.bincount(self._rows()[~kept], minlength=len(self.lengths)),
            code=self.code[kept],
            weights=None if self.weights is None else self.weights[kept],
        )


def _shape(array: pa.Array, told: Array) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return of each row whether it has a list, and its length; `told` are those of the lists."""
    known = array.is_valid().to_numpy(zero_copy_only=False)
    lengths = np.zeros(len(known), dtype=np.int64)
    lengths[known] = told
    return known, lengths


@dataclass(frozen=True, eq=False)
class WordLists(Column):
    """Lists of words as a tower file takes them, padded to the longest of the rows packed."""

    name: str
    has_list: NDArray[np.bool_]  # [rows]
    tokens: NDArray[np.object_]
    ends: NDArray[np.int64]  # [rows + 1]: row i holds code[ends[i] : ends[i + 1]]
    code: NDArray[np.int32]
    weights: NDArray[np.float32] | None

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether there is a list, be it empty."""
        return self.has_list

    @classmethod
    def of(
        cls,
        name: str,
        lists: Lists,
        tokens: Callable[[Iterable[str]], list[str]],
        expected: str,
    ) -> Self | None:
        """Check each distinct word once, and put a missing word into each row that has no list.

        Args:
            name: The feature.
            lists: What the rows hold.
            tokens: Gives what a tower file takes for words.
            expected: What a word has to be. None is returned where one is not.

        """
        try:
            words = [check_word(cell, expected) for cell in lists.cells]
        except Mismatch:
            return None
        lengths = np.where(lists.known, lists.lengths, 1)
        is_word = np.repeat(lists.known, lengths)
        code = np.full(len(is_word), MISSING, dtype=np.int32)
        code[is_word] = lists.code + FIRST
        weights = None if lists.weights is None else np.ones(len(code), dtype=np.float32)
        if weights is not None:
            weights[is_word] = lists.weights
        return cls(
            name,
            lists.known,
            np.array([PADDING_TOKEN, MISSING_TOKEN, *tokens(words)], dtype=object),
            np.concatenate([[0], np.cumsum(lengths)]),
            code,
            weights,
        )

    def pack(self, rows: slice) -> dict[str, Array]:
        """Fill `<feature>` [batch, max(1, longest)], and its weights."""
        first, last, _ = rows.indices(len(self.has_list))
        ends = self.ends[first : last + 1]
        lengths, part = np.diff(ends), slice(ends[0], ends[-1])
        is_word = np.arange(max(1, lengths.max(initial=0))) < lengths[:, None]
        code = np.full(is_word.shape, PADDING, dtype=np.int32)
        code[is_word] = self.code[part]
        arrays: dict[str, Array] = {self.name: self.tokens[code]}
        if self.weights is not None:
            weights = np.zeros(is_word.shape, dtype=np.float32)
            weights[is_word] = self.weights[part]
            arrays[f"{self.name}.weights"] = weights
        return arrays
