"""Tables of users or items by columns, ready to be embedded: no record is made of a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from export.contract.features import Feature
from export.contract.features.column import Column, Parsed
from export.contract.side import Record, Side
from export.contract.tables import id_column, parse_column


@dataclass(frozen=True)
class ColumnTable:
    """The columns of every feature that may be given, beside the ids.

    `features` names those that had a column in the table, `others` its columns that are none.
    """

    ids: pa.ChunkedArray
    columns: dict[str, Column]
    features: tuple[str, ...]
    others: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)


def columns_of(
    table: pa.Table, path: Path, side: Side, id_name: str, *, before: int = 0
) -> ColumnTable:
    """Read the columns of a table; so many rows of the file are `before` it.

    They say what the records of `read_records` do, and its words are those of a fault.

    Raises:
        DataError: Names file, column, row, what came and what would be right.

    """
    ids = id_column(table, id_name, path, before=before)
    names = tuple(name for name in side.features if name in table.column_names)
    columns = {
        name: _read(table.column(name), name, side.features[name], path, before) for name in names
    }
    for name, feature in side.given.items():
        if name not in columns:
            nothing = pa.chunked_array([pa.nulls(len(table), feature.column_type)])
            columns[name] = _read(nothing, name, feature, path, before)
    others = tuple(name for name in table.column_names if name not in {id_name, *names})
    return ColumnTable(ids, columns, names, others)


def columns_of_records(records: Sequence[Record], side: Side) -> dict[str, Column]:
    """Return the columns of parsed records, for every feature that may be given."""
    columns: dict[str, Column] = {}
    for name, feature in side.given.items():
        values = [record.get(name) for record in records]
        is_known = np.array([value is not None for value in values], dtype=np.bool_)
        cells = pa.array(map(feature.stored, values), feature.column_type)
        found = feature.column(name, pa.chunked_array([cells]))
        if found is None or (found.known != is_known).any():  # an empty text is no cell
            found = Parsed(name, feature, values, np.arange(len(values), dtype=np.int32))
        columns[name] = found
    return columns


def _read(cells: pa.ChunkedArray, name: str, feature: Feature, path: Path, before: int) -> Column:
    """Read a column at once, or cell by cell where that does not go or a cell is at fault."""
    try:
        found = feature.column(name, cells)
    except UnicodeDecodeError:
        found = None
    if found is not None:
        return found
    values = parse_column(cells, name, feature, path, before=before)
    return Parsed(name, feature, values, np.arange(len(values), dtype=np.int32))
