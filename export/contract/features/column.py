"""One feature of many rows at once: a table's column as its kind reads it, packed in parts."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from export.contract.features.base import FeatureKind, Mismatch, Raw


class Column(ABC):
    """The values of one feature for so many rows."""

    @property
    @abstractmethod
    def known(self) -> NDArray[np.bool_]:
        """Of each row, whether the feature has a value: [rows]."""

    @property
    def numbers(self) -> NDArray[np.float64]:
        """Of each row the number that it has, NaN for none: [rows]."""
        return np.full(len(self.known), np.nan)

    @abstractmethod
    def pack(self, rows: slice) -> dict[str, NDArray[Any]]:
        """Return what the kind's `pack` makes of these rows, had they this feature alone."""


@dataclass(frozen=True, eq=False)
class Parsed(Column):
    """Parsed values, as records hold them: row i has `values[code[i]]`. Right for every kind."""

    name: str
    feature: FeatureKind
    values: Sequence[Raw]
    code: NDArray[np.int32]  # [rows]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether the value is not None."""
        is_known = np.array([value is not None for value in self.values], dtype=np.bool_)
        return is_known[self.code]

    @property
    def numbers(self) -> NDArray[np.float64]:
        """The values that are floats."""
        told = [value if isinstance(value, float) else np.nan for value in self.values]
        return np.array(told, dtype=np.float64)[self.code]

    def pack(self, rows: slice) -> dict[str, NDArray[Any]]:
        """Make records of the rows, and pack those."""
        records = [{self.name: self.values[code]} for code in self.code[rows].tolist()]
        return type(self.feature).pack({self.name: self.feature}, records)


@dataclass(frozen=True, eq=False)
class Tokens(Parsed):
    """Values that are one string each in a tower's input `tensor`: `tokens[code[i]]` in row i."""

    tensor: str
    tokens: NDArray[np.object_]

    @classmethod
    def of(
        cls,
        name: str,
        feature: FeatureKind,
        cells: pa.ChunkedArray,
        tensor: str,
        token: Callable[[Raw], str],
    ) -> Self | None:
        """Read each distinct cell once; None where one is at fault."""
        if not holds_words(cells.type):
            return None
        found, code = distinct(cells)
        try:
            values = [feature.cell(cell) for cell in found]
        except Mismatch:
            return None
        tokens = np.array([token(value) for value in values], dtype=object)
        return cls(name, feature, values, code, tensor, tokens)

    def pack(self, rows: slice) -> dict[str, NDArray[Any]]:
        """Fill `tensor` [batch, 1]."""
        return {self.tensor: self.tokens[self.code[rows, None]]}


def distinct(column: pa.ChunkedArray) -> tuple[list[Any], NDArray[np.int32]]:
    """Return the distinct cells and which of them each row holds."""
    encoded = column.combine_chunks()
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    code = encoded.indices.cast(pa.int32()).fill_null(len(encoded.dictionary)).to_numpy()
    # A dictionary may hold what no row does: all words of a file, where these are a part of it.
    is_used = np.bincount(code, minlength=len(encoded.dictionary) + 1) > 0
    place = np.cumsum(is_used, dtype=np.int32) - 1
    cells = encoded.dictionary.filter(pa.array(is_used[:-1])).to_pylist()
    if len(set(cells)) != len(cells):
        return distinct(column.cast(encoded.type.value_type))
    return cells + [None] * bool(is_used[-1]), place[code]


def holds_words(kind: pa.DataType) -> bool:
    """Say whether cells of this type may be words: text, whole numbers, booleans."""
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_integer(kind)
        or types.is_boolean(kind)
        or types.is_null(kind)
    )


def is_list(kind: pa.DataType) -> bool:
    """Say whether cells of this type are lists, of any storage."""
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))
