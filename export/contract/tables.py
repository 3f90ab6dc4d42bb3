"""Tables of records, Parquet or CSV: ids stay text, and every fault names file, column and row."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from export.contract.errors import DataError, RecordError
from export.contract.features import Category, Feature, Number, Raw, Tags
from export.contract.schema import Record, Side

ID_MAX_BYTES = 256


@dataclass(frozen=True)
class RecordTable:
    """Parsed records beside their ids; `extras` holds the columns that are no features."""

    ids: list[str]
    records: list[dict[str, Raw]]
    extras: pa.Table

    def __len__(self) -> int:
        return len(self.ids)


def read_table(path: Path) -> pa.Table:
    """Read a Parquet or CSV file; every CSV column is read as text, so that "01" is not 1.

    Raises:
        DataError: The file is not there, not readable, or of another kind.

    """
    try:
        if path.suffix == ".parquet":
            return pyarrow.parquet.read_table(path)
        if path.suffix == ".csv":
            return _read_csv(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: {' '.join(str(error).split())}") from error
    raise DataError(f"{path}: got {path.suffix!r}, expected a .parquet or .csv file")


def _read_csv(path: Path) -> pa.Table:
    with pyarrow.csv.open_csv(path) as reader:
        names = reader.schema.names
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}: column {twice!r} stands twice in the header")
    options = pyarrow.csv.ConvertOptions(
        column_types={name: pa.string() for name in names}, strings_can_be_null=False
    )
    return pyarrow.csv.read_csv(path, convert_options=options)


def read_ids(table: pa.Table, column: str, path: Path) -> list[str]:
    """Return an id column as text.

    Raises:
        DataError: The column is missing, not of text or whole numbers, or holds a bad id.

    """
    if column not in table.column_names:
        have = ", ".join(table.column_names)
        raise DataError(f"{path}: no column {column!r}; the columns are {have}")
    values = table.column(column)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        if not pa.types.is_integer(values.type):
            raise DataError(
                f"{path}: column {column!r}: got type {values.type}, expected text or whole numbers"
            )
        values = values.cast(pa.string())
    ids: list[str] = values.to_pylist()
    for row, one in enumerate(ids, start=1):
        if fault := id_fault(one):
            raise DataError(f"{path}: column {column!r}, row {row}: got {one!r}, expected {fault}")
    return ids


def id_fault(value: object) -> str | None:
    """Say what an id should be, if this is none: 1-256 bytes of UTF-8, no control characters."""
    expected = f"an id: text of 1 to {ID_MAX_BYTES} bytes without control characters"
    if not isinstance(value, str) or not value:
        return expected
    try:
        too_long = len(value.encode()) > ID_MAX_BYTES
    except UnicodeEncodeError:
        return expected
    control = any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in value)
    return expected if too_long or control else None


def unique_ids(ids: Sequence[str], column: str, path: Path) -> dict[str, int]:
    """Return the position of each id.

    Raises:
        DataError: An id stands twice; names both rows.

    """
    positions: dict[str, int] = {}
    for position, one in enumerate(ids):
        first = positions.setdefault(one, position)
        if first != position:
            raise DataError(
                f"{path}: column {column!r}: id {one!r} stands in row {first + 1} "
                f"and again in row {position + 1}"
            )
    return positions


def read_records(path: Path, side: Side, id_column: str) -> RecordTable:
    """Read a table of users or items; a feature without a column is missing everywhere.

    Raises:
        DataError: Names file, column, row, what came and what would be right.

    """
    table = read_table(path)
    ids = read_ids(table, id_column, path)
    unique_ids(ids, id_column, path)
    names = [name for name in side.features if name in table.column_names]
    records: list[dict[str, Raw]] = [{} for _ in ids]
    for name in names:
        column = _column(table, name, side.features[name], path)
        for record, value in zip(records, column, strict=True):
            if value is not None:
                record[name] = value
    return RecordTable(ids, records, table.drop_columns([id_column, *names]))


def _column(table: pa.Table, name: str, feature: Feature, path: Path) -> Iterator[Raw]:
    """Parse one column, each distinct scalar once."""
    seen: dict[object, Raw] = {}
    side = Side.model_construct(content={name: feature}, context={}, preference={})
    for row, cell in enumerate(table.column(name).to_pylist(), start=1):
        hashable = not isinstance(cell, list | dict)
        if hashable and cell in seen:
            yield seen[cell]
            continue
        try:
            value = side.parse({name: cell}, cells=True).get(name)
        except RecordError as error:
            fault = error.faults[0]
            raise DataError(
                f"{path}: column {name!r}, row {row}: got {fault.got}, expected {fault.expected}"
            ) from error
        if hashable:
            seen[cell] = value
        yield value


def write_records(
    path: Path,
    side: Side,
    id_column: str,
    ids: Sequence[str],
    records: Sequence[Record],
    extras: Mapping[str, Any] | None = None,
) -> None:
    """Write a table that `read_records` reads back unchanged."""
    columns: dict[str, Any] = {id_column: pa.array(ids, pa.string())}
    for name, feature in side.features.items():
        values: list[object] = [record.get(name) for record in records]
        if isinstance(feature, Tags) and feature.weights:
            values = [list(v.items()) if isinstance(v, dict) else None for v in values]
        columns[name] = pa.array(values, arrow_type(feature))
    pyarrow.parquet.write_table(pa.table(columns | dict(extras or {})), path)


def arrow_type(feature: Feature) -> pa.DataType:
    """Return the column type that holds a feature's parsed values."""
    if isinstance(feature, Category):
        return pa.string()
    if isinstance(feature, Number):
        return pa.float64()
    if isinstance(feature, Tags) and feature.weights:
        return pa.map_(pa.string(), pa.float64())
    return pa.list_(pa.string())
