"""Columns of the interactions as arrays: read, checked, and every fault named by its row."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from export.contract.errors import DataError
from export.contract.features import FeatureKind, Mismatch, Raw
from export.contract.features.column import distinct

Column = NDArray[Any]
LATEST_S = 1e11  # the year 5138; what is beyond counts milliseconds or less


@dataclass(frozen=True, eq=False)
class Carried:
    """A feature that the interactions carry, parsed: row i holds `values[code[i]]`."""

    code: NDArray[np.int32]  # [rows]
    values: list[Raw]

    def at(self, rows: Column) -> list[Raw]:
        """Return the values of some rows (positions or a mask)."""
        return [self.values[code] for code in self.code[rows].tolist()]


@dataclass(frozen=True)
class Columns:
    """One table's columns, read by name.

    For messages there are `path`, and how many rows of the file are `before` the table's.
    """

    table: pa.Table
    path: Path
    before: int = 0

    def labels(self) -> NDArray[np.int8]:
        """Return 0 or 1 for each row; 1 where there is no such column."""
        expected = "0 or 1"
        values = self._numbers("label", expected, lambda v: (v == 0) | (v == 1), default=1.0)
        assert values is not None
        return values.astype(np.int8)

    def weights(self) -> NDArray[np.float32]:
        """Return finite weights of at least 0; 1 where there is no such column."""
        expected = "a finite weight of at least 0"
        values = self._numbers("weight", expected, lambda v: (v >= 0) & (v < 1e30), default=1.0)
        assert values is not None
        return values.astype(np.float32)

    def orders(self) -> NDArray[np.int64] | None:
        """Return the whole number of each row, exact; None where there is no such column."""
        if "order" in self.table.column_names:
            column = self.table.column("order")
            if pa.types.is_integer(column.type) and not column.null_count:
                exact: NDArray[np.int64] = column.cast(pa.int64()).to_numpy()
                return exact
        values = self._numbers(
            "order", "a whole number", lambda v: (abs(v) < 2**53) & (v == np.round(v))
        )
        return None if values is None else values.astype(np.int64)

    def timestamps(self) -> NDArray[np.float64] | None:
        """Return seconds: numbers as they are, dates and times counted from 1970 (UTC).

        None where there is no such column.
        """
        if "timestamp" not in self.table.column_names:
            return None
        column = _plain(self.table.column("timestamp"))
        types, expected = pa.types, "seconds as a number, or a date and time"
        if types.is_string(column.type) and _cast(column, pa.float64()) is None:
            times = _cast(column, pa.timestamp("us")) or _cast(column, pa.timestamp("us", "UTC"))
            if times is None:
                raise self._first_misfit("timestamp", column, _is_moment, expected)
            column = times
        if types.is_timestamp(column.type) or types.is_date(column.type):
            column = _seconds(column)
        values = self._numbers("timestamp", expected, np.isfinite, column=column)
        late = "seconds, and this is beyond the year 5000: are these milliseconds?"
        return self._numbers("timestamp", late, lambda v: abs(v) < LATEST_S, column=_array(values))

    def others(self, kept: Column, taken: set[str]) -> dict[str, Column]:
        """Return all columns but the taken ones as arrays of the kept rows."""
        names = [name for name in self.table.column_names if name not in taken]
        table = self.table.select(names).take(pa.array(kept))
        return {name: _as_array(table.column(name)) for name in names}

    def parsed(
        self, name: str, feature: FeatureKind
    ) -> tuple[list[Any], list[Raw], NDArray[np.int32]]:
        """Parse a feature's column, each distinct cell once.

        Returns the cells, what they are parsed to, and which of them each row holds.
        """
        column = self.table.column(name)
        if pa.types.is_nested(column.type):
            cells, code = column.to_pylist(), np.arange(len(column), dtype=np.int32)
        else:
            cells, code = distinct(column)
        values: list[Raw] = []
        for number, cell in enumerate(cells):
            try:
                values.append(feature.cell(cell))
            except Mismatch as mismatch:
                row = int(np.argmax(code == number))
                raise self._fault(name, row, cell, str(mismatch)) from mismatch
        return cells, values, code

    def _numbers(
        self,
        name: str,
        expected: str,
        good: Callable[[Column], Column],
        *,
        default: float | None = None,
        column: pa.ChunkedArray | None = None,
    ) -> NDArray[np.float64] | None:
        """Return a column as numbers that are all good, or raise the fault of the first not so."""
        if name not in self.table.column_names:
            return None if default is None else np.full(len(self.table), default)
        column = _plain(self.table.column(name)) if column is None else column
        numbers = _cast(column, pa.float64())
        if numbers is None:
            raise self._first_misfit(name, column, _is_number, expected)
        values: NDArray[np.float64] = numbers.to_numpy().astype(np.float64, copy=False)
        passed = good(values)
        if not passed.all():
            row = int(np.argmin(passed))
            raise self._fault(name, row, self.table.column(name)[row].as_py(), expected)
        return values

    def _first_misfit(
        self, name: str, column: pa.ChunkedArray, fits: Callable[[pa.Scalar], bool], expected: str
    ) -> DataError:
        for row, cell in enumerate(column):
            if not fits(cell):
                return self._fault(name, row, self.table.column(name)[row].as_py(), expected)
        return DataError(f"{self.path}: column {name!r}: got {column.type}, expected {expected}")

    def _fault(self, name: str, row: int, got: object, expected: str) -> DataError:
        return DataError(
            f"{self.path}: column {name!r}, row {self.before + row + 1}: got {got!r}, "
            f"expected {expected}"
        )


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text as trimmed `string`, the empty text as null; anything else as it is."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_large_string(column.type):
        column = column.cast(pa.string())
    if not pa.types.is_string(column.type):
        return column
    column = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)


def _cast(column: pa.ChunkedArray | pa.Scalar, to: pa.DataType) -> Any:
    """Return what was cast, or None where it cannot be."""
    try:
        return column.cast(to)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _is_number(cell: pa.Scalar) -> bool:
    return not cell.is_valid or _cast(cell, pa.float64()) is not None


def _is_moment(cell: pa.Scalar) -> bool:
    kinds = (pa.timestamp("us"), pa.timestamp("us", "UTC"))
    return not cell.is_valid or any(_cast(cell, kind) is not None for kind in kinds)


def _seconds(column: pa.ChunkedArray) -> pa.ChunkedArray:
    zone = getattr(column.type, "tz", None)
    micros = column.cast(pa.timestamp("us", zone), safe=False).cast(pa.int64())
    return pc.divide(micros.cast(pa.float64()), 1e6)


def _array(values: NDArray[np.float64] | None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values)])


def _as_array(column: pa.ChunkedArray) -> Column:
    """Return numbers as numpy numbers; text, and whatever has nulls, as objects."""
    kind = column.type
    if pa.types.is_floating(kind) or (pa.types.is_integer(kind) and not column.null_count):
        numbers: Column = column.to_numpy()
        return numbers
    if pa.types.is_nested(kind):
        nested = np.empty(len(column), dtype=object)
        nested[:] = column.to_pylist()
        return nested
    cells, code = distinct(column)
    objects = np.empty(len(cells), dtype=object)
    objects[:] = cells
    values: Column = objects[code]
    return values
