"""Tables of records, Parquet or CSV: ids stay text, and every fault names file, column and row."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from export.contract.errors import DataError, Fault
from export.contract.features import Feature, Mismatch, Raw
from export.contract.side import Record, Side

ID_MAX_BYTES = 256
AN_ID = f"an id: text of 1 to {ID_MAX_BYTES} bytes without control characters"
AS_OF = b"firstsight.as_of"
"""The key in a Parquet file's metadata under which it says what moment it tells of."""
LINES = pyarrow.csv.ParseOptions(newlines_in_values=True)
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class RecordTable:
    """Parsed records beside their ids; `extras` holds the columns that are no features.

    `features` names the features that had a column.
    """

    ids: list[str]
    records: list[dict[str, Raw]]
    extras: pa.Table
    features: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)


def read_table(path: Path) -> pa.Table:
    """Read a Parquet or CSV file; every CSV column is read as text, so that "01" is not 1.

    Raises:
        DataError: The file is not there, not readable, or of another kind.

    """
    with readable(path):
        if path.suffix == ".parquet":
            return each_column_once(pyarrow.parquet.read_table(path), path)
        if path.suffix == ".csv":
            return _read_csv(path)
    raise DataError(f"{path}: got {path.suffix!r}, expected a .parquet or .csv file")


def read_column_names(path: Path) -> list[str]:
    """Return the names of a table's columns.

    Raises:
        DataError: As `read_table` does.

    """
    if path.suffix == ".parquet" and path.is_file():
        with readable(path):
            return list(pyarrow.parquet.read_schema(path).names)
    if path.suffix == ".csv" and path.is_file():
        with readable(path), pyarrow.csv.open_csv(path, parse_options=LINES) as reader:
            return list(reader.schema.names)
    return list(read_table(path).column_names)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say of a file that cannot be read which one it is."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {' '.join(str(error).split())}") from error


def read_as_of(path: Path) -> datetime | None:
    """Return the moment that a table says it tells of; None where it does not say.

    Raises:
        DataError: The file is not there or not readable, or what it says is no moment.

    """
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if path.suffix != ".parquet" or path.is_dir():
        return None
    try:
        text = (pyarrow.parquet.read_schema(path).metadata or {}).get(AS_OF)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: {' '.join(str(error).split())}") from error
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.decode())
    except ValueError as error:
        raise DataError(f"{path}: metadata {AS_OF.decode()}: {error}") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def write_as_of(source: Path, target: Path, moment: datetime) -> None:
    """Write a Parquet table again, saying what moment it tells of."""
    table = pyarrow.parquet.read_table(source)
    said = {**(table.schema.metadata or {}), AS_OF: moment.isoformat().encode()}
    pyarrow.parquet.write_table(table.replace_schema_metadata(said), target)


def _read_csv(path: Path) -> pa.Table:
    with pyarrow.csv.open_csv(path, parse_options=LINES) as reader:
        names = reader.schema.names
    options = pyarrow.csv.ConvertOptions(
        column_types={name: pa.string() for name in names}, strings_can_be_null=False
    )
    table = pyarrow.csv.read_csv(path, parse_options=LINES, convert_options=options)
    return each_column_once(table, path)


def each_column_once(table: pa.Table, path: Path) -> pa.Table:
    """Return the table; raises DataError where two columns have one name."""
    names: list[str] = table.column_names
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}: column {twice!r} stands twice")
    return table


def read_ids(table: pa.Table, column: str, path: Path) -> list[str]:
    """Return an id column as text.

    Raises:
        DataError: As `id_column` does.

    """
    ids: list[str] = id_column(table, column, path).to_pylist()
    return ids


def id_column(table: pa.Table, column: str, path: Path, *, before: int = 0) -> pa.ChunkedArray:
    """Return an id column as text; so many rows of the file are `before` the table's.

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
    if not _are_ids(values):
        try:
            ids = values.to_pylist()
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: column {column!r}: {error}") from error
        row, one, fault = next((r, i, f) for r, i in enumerate(ids, 1) if (f := id_fault(i)))
        got = Fault.of(column, one, fault).got
        at = before + row
        raise DataError(f"{path}: column {column!r}, row {at}: got {got}, expected {fault}")
    return values


def _are_ids(values: pa.ChunkedArray) -> bool:
    """Say what `id_fault` says, of a whole text column at once; what is no UTF-8 is no id."""
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        return False
    size = pc.binary_length(values)
    fits = pc.and_(pc.greater(size, 0), pc.less_equal(size, ID_MAX_BYTES))
    if not _all(fits):
        return False
    if _all(pc.ascii_is_printable(values)):  # asked first: it takes a fifteenth of what is below
        return True
    return _all(pc.invert(pc.match_substring_regex(values, r"[\x00-\x1f\x7f-\x{9f}]")))


def _all(rows: pa.ChunkedArray) -> bool:
    return bool(pc.all(pc.fill_null(rows, False), min_count=0).as_py())


def id_fault(value: object) -> str | None:
    """Say what an id should be, if this is none: 1-256 bytes of UTF-8, no control characters."""
    if not isinstance(value, str) or not value:
        return AN_ID
    try:
        too_long = len(value.encode()) > ID_MAX_BYTES
    except UnicodeEncodeError:
        return AN_ID
    return AN_ID if too_long or CONTROL.search(value) else None


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
    return _records_of(table, ids, path, side, id_column)


def _records_of(
    table: pa.Table, ids: list[str], path: Path, side: Side, id_column: str
) -> RecordTable:
    """Parse what was read. Raises DataError."""
    names = [name for name in side.features if name in table.column_names]
    records: list[dict[str, Raw]] = [{} for _ in ids]
    for name in names:
        parsed = parse_column(table.column(name), name, side.features[name], path)
        for record, value in zip(records, parsed, strict=True):
            if value is not None:
                record[name] = value
    return RecordTable(ids, records, table.drop_columns([id_column, *names]), tuple(names))


def parse_column(
    column: pa.ChunkedArray, name: str, feature: Feature, path: Path, *, before: int = 0
) -> list[Raw]:
    """Parse a column cell by cell; so many rows of the file are `before` it.

    Raises:
        DataError: Names the first cell at fault: its row, what came and what would be right.

    """
    try:
        return list(_parsed(_cells(column), name, feature, path, before))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: column {name!r}: {error}") from error


def _cells(column: pa.ChunkedArray) -> Iterator[object]:
    """Give the cells of a column as Python values; lists are several times quicker taken flat."""
    for chunk in column.chunks:
        if not (pa.types.is_list(chunk.type) or pa.types.is_large_list(chunk.type)):
            yield from chunk.to_pylist()
            continue
        flat, end = chunk.flatten().to_pylist(), 0
        for length in pc.list_value_length(chunk).to_pylist():
            start, end = end, end + (length or 0)
            yield None if length is None else flat[start:end]


def _parsed(
    cells: Iterable[object], name: str, feature: Feature, path: Path, before: int
) -> Iterator[Raw]:
    """Parse one column, each distinct scalar once."""
    seen: dict[object, Raw] = {None: None}
    for row, cell in enumerate(cells, start=before + 1):
        hashable = not isinstance(cell, list | dict)
        if hashable and cell in seen:
            yield seen[cell]
            continue
        try:
            value = feature.cell(cell)
        except Mismatch as mismatch:
            fault = Fault.of(name, cell, str(mismatch))
            raise DataError(
                f"{path}: column {name!r}, row {row}: got {fault.got}, expected {fault.expected}"
            ) from mismatch
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
    """Write a table that `read_records` reads back unchanged.

    Context, and what is made of other features, is never stored.
    """
    columns: dict[str, Any] = {id_column: pa.array(ids, pa.string())}
    for name, feature in (side.content | side.preference).items():
        if feature.made_of:
            continue
        values = [feature.stored(record.get(name)) for record in records]
        columns[name] = pa.array(values, feature.column_type)
    pyarrow.parquet.write_table(pa.table(columns | dict(extras or {})), path)
