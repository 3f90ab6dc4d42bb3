"""The three tables of a data folder, read and checked: interactions, users, items."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from export.contract.errors import DataError
from export.contract.schema import Side
from export.contract.tables import RecordTable, read_ids, read_records, read_table
from training.config import DataConfig

Column = NDArray[Any]


@dataclass(frozen=True)
class Interactions:
    """One row for each time an item was shown to a user; all arrays have the same length.

    `user` and `item` are positions in the tables of users and items, `label` is 1 or 0 (shown
    and not clicked), `timestamp` seconds (any origin), `order` rises with time within a user.
    `columns` holds every other column as it came.
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    label: NDArray[np.int8]
    weight: NDArray[np.float32]
    timestamp: NDArray[np.float64] | None
    order: NDArray[np.int64] | None
    columns: dict[str, Column]

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True)
class Data:
    """What a data folder holds; `dropped` counts the rows that were left out, by reason."""

    interactions: Interactions
    users: RecordTable
    items: RecordTable
    dropped: dict[str, int] = field(default_factory=dict)


def read_data(config: DataConfig, user: Side, item: Side) -> Data:
    """Read the three tables.

    Rows of interactions with an id that users or items do not list are left out and counted, as
    are exact repeats of a row.

    Raises:
        DataError: Names file, column, row, what came and what would be right.

    """
    users = read_records(config.folder / config.users, user, "user_id")
    items = read_records(config.folder / config.items, item, "item_id")
    path = config.folder / config.interactions
    table = read_table(path)
    user_at = _positions(read_ids(table, "user_id", path), users.ids)
    item_at = _positions(read_ids(table, "item_id", path), items.ids)
    known = (user_at >= 0) & (item_at >= 0)
    first = _first_of_repeats(table)
    kept = np.flatnonzero(known & first)
    dropped = {
        "unknown_user": int((user_at < 0).sum()),
        "unknown_item": int((item_at < 0).sum()),
        "exact_repeat": int((~first & known).sum()),
    }
    rows = Interactions(
        user=user_at[kept].astype(np.int32),
        item=item_at[kept].astype(np.int32),
        label=_labels(table, path)[kept],
        weight=_weights(table, path)[kept],
        timestamp=_taken(_timestamps(table, path), kept),
        order=_taken(_order(table, path), kept),
        columns=_other_columns(table, kept),
    )
    if not len(rows):
        raise DataError(f"{path}: no row is left ({dropped})")
    return Data(rows, users, items, dropped)


def _taken(values: Column | None, kept: Column) -> Any:
    return None if values is None else values[kept]


def _positions(ids: Sequence[str], known: Sequence[str]) -> NDArray[np.int64]:
    """Return the position of each id among the known ones, -1 for none."""
    found = pc.index_in(pa.array(ids, pa.string()), value_set=pa.array(known, pa.string()))
    positions: NDArray[np.int64] = found.fill_null(-1).to_numpy(zero_copy_only=False)
    return positions.astype(np.int64)


def _first_of_repeats(table: pa.Table) -> NDArray[np.bool_]:
    """Say of each row whether no earlier row is the same in every column."""
    plain = [n for n in table.column_names if not pa.types.is_nested(table.column(n).type)]
    numbered = table.select(plain).append_column("row number", pa.array(np.arange(len(table))))
    groups = numbered.group_by(plain, use_threads=False).aggregate([("row number", "min")])
    first = np.zeros(len(table), dtype=bool)
    first[groups.column("row number_min").to_numpy()] = True
    return first


def _number_column(table: pa.Table, name: str, path: Path, expected: str) -> Column:
    """Return a column as float64, NaN for null."""
    column = table.column(name)
    try:
        if pa.types.is_string(column.type):
            column = pc.if_else(pc.equal(column, ""), None, column)
        values: Column = column.cast(pa.float64()).to_numpy().astype(np.float64)
        return values
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        for row, cell in enumerate(column.to_pylist(), start=1):
            try:
                float(cell if cell is not None else 0)
            except (TypeError, ValueError):
                raise _fault(path, name, row, cell, expected) from error
        raise DataError(
            f"{path}: column {name!r}: got {column.type}, expected {expected}"
        ) from error


def _fault(path: Path, column: str, row: int, got: object, expected: str) -> DataError:
    return DataError(f"{path}: column {column!r}, row {row}: got {got!r}, expected {expected}")


def _checked(values: Column, good: Column, name: str, path: Path, expected: str) -> Column:
    if not good.all():
        row = int(np.argmin(good))
        raise _fault(path, name, row + 1, float(values[row]), expected)
    return values


def _labels(table: pa.Table, path: Path) -> NDArray[np.int8]:
    if "label" not in table.column_names:
        return np.ones(len(table), dtype=np.int8)
    values = _number_column(table, "label", path, "0 or 1")
    good = (values == 0) | (values == 1)
    return _checked(values, good, "label", path, "0 or 1").astype(np.int8)


def _weights(table: pa.Table, path: Path) -> NDArray[np.float32]:
    if "weight" not in table.column_names:
        return np.ones(len(table), dtype=np.float32)
    expected = "a finite weight of at least 0"
    values = _number_column(table, "weight", path, expected)
    good = (values >= 0) & (values < 1e30)
    return _checked(values, good, "weight", path, expected).astype(np.float32)


def _timestamps(table: pa.Table, path: Path) -> NDArray[np.float64] | None:
    """Return seconds; dates and times count from 1970, numbers are taken as seconds."""
    if "timestamp" not in table.column_names:
        return None
    expected = "seconds as a number, or a date and time"
    column = table.column("timestamp")
    if pa.types.is_string(column.type) and not _all_numbers(column):
        try:
            column = column.cast(pa.timestamp("us"))
        except pa.ArrowInvalid as error:
            raise DataError(f"{path}: column 'timestamp': {error}; expected {expected}") from error
    if pa.types.is_temporal(column.type):
        micros = column.cast(pa.timestamp("us")).cast(pa.int64())
        seconds = pc.divide(micros.cast(pa.float64()), 1e6)
        table = table.set_column(table.column_names.index("timestamp"), "timestamp", seconds)
    values = _number_column(table, "timestamp", path, expected)
    return _checked(values, np.isfinite(values), "timestamp", path, expected)


def _all_numbers(column: pa.ChunkedArray) -> bool:
    return bool(pc.all(pc.match_substring_regex(column, r"^[0-9]+(\.[0-9]*)?$")).as_py())


def _order(table: pa.Table, path: Path) -> NDArray[np.int64] | None:
    if "order" not in table.column_names:
        return None
    values = _number_column(table, "order", path, "a whole number")
    good = np.isfinite(values) & (values == np.round(values))
    return _checked(values, good, "order", path, "a whole number").astype(np.int64)


def _other_columns(table: pa.Table, kept: Column) -> dict[str, Column]:
    own = {"user_id", "item_id", "label", "weight", "timestamp", "order"}
    names = [name for name in table.column_names if name not in own]
    taken = table.select(names).take(pa.array(kept))
    return {name: _as_array(taken.column(name)) for name in names}


def _as_array(column: pa.ChunkedArray) -> Column:
    """Return numbers as numpy numbers; text, and whatever has nulls, as objects."""
    if pa.types.is_floating(column.type) or (
        pa.types.is_integer(column.type) and column.null_count == 0
    ):
        numbers: Column = column.to_numpy()
        return numbers
    values = np.empty(len(column), dtype=object)
    values[:] = column.to_pylist()
    return values
