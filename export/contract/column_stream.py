"""Tables in parts: what memory holds does not grow with the rows."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from export.contract.column_table import ColumnTable, columns_of
from export.contract.side import Side
from export.contract.tables import (
    each_column_once,
    read_ids,
    read_table,
    readable,
    unique_ids,
)

READ_AHEAD_BYTES = 1 << 20


def stream_tables(path: Path, rows: int | None) -> Iterator[pa.Table]:
    """Read a Parquet file so many rows at a time, at least once; any other, or for None, whole.

    Raises:
        DataError: As `read_table` does.

    """
    if rows is None or path.suffix != ".parquet" or not path.is_file():
        yield read_table(path)
        return
    with readable(path):
        file = pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=READ_AHEAD_BYTES)
    with file:
        yield from _tables(file, path, rows, threads=True)


def _tables(
    file: pyarrow.parquet.ParquetFile, path: Path, rows: int, *, threads: bool
) -> Iterator[pa.Table]:
    each_column_once(file.schema_arrow.empty_table(), path)
    if not file.metadata.num_rows:
        yield file.schema_arrow.empty_table()
    batches = file.iter_batches(batch_size=rows, use_threads=threads)
    while True:
        with readable(path):
            batch = next(batches, None)
        if batch is None:
            return
        yield pa.Table.from_batches([batch])


def stream_columns(path: Path, side: Side, id_name: str, rows: int) -> Iterator[ColumnTable]:
    """Read a table so many rows at a time, at least once.

    Of a Parquet file memory holds these and eight bytes an id, to see that none stands twice: that
    is told before anything is given, and what else is wrong where it stands. Any other table comes
    whole.

    Raises:
        DataError: As `read_records` does.

    """
    if path.suffix != ".parquet" or not path.is_file():
        yield _whole(path, side, id_name)
        return
    with readable(path):
        file = pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=READ_AHEAD_BYTES)
    with file:
        if file.metadata.num_rows <= rows:
            yield _whole(path, side, id_name)
            return
        each_column_once(file.schema_arrow.empty_table(), path)
        _check_unique(file, id_name, path, rows)
        before = 0
        # Arrow's pool keeps what each thread has freed: 25 MB more at 100,000 items.
        for table in _tables(file, path, rows, threads=False):
            yield columns_of(table, path, side, id_name, before=before)
            before += len(table)


def _whole(path: Path, side: Side, id_name: str) -> ColumnTable:
    table = read_table(path)
    unique_ids(read_ids(table, id_name, path), id_name, path)
    return columns_of(table, path, side, id_name)


def _check_unique(file: pyarrow.parquet.ParquetFile, column: str, path: Path, rows: int) -> None:
    """Check that no id of a file stands twice; other faults are found row by row.

    Eight bytes an id are held: their hashes. Where two are equal the ids themselves are asked.
    """
    if column not in file.schema_arrow.names:
        return
    hashes = np.empty(file.metadata.num_rows, dtype=np.int64)
    with readable(path):
        done = 0
        for batch in file.iter_batches(batch_size=rows, columns=[column], use_threads=False):
            ids = batch.column(0).to_pylist()
            hashes[done : done + len(ids)] = np.fromiter(map(hash, ids), np.int64, len(ids))
            done += len(ids)
        hashes.sort()
        if (hashes[1:] != hashes[:-1]).all():
            return
        table = file.read(columns=[column])
    unique_ids(read_ids(table, column, path), column, path)
