"""A bundle without a service: records to vectors, users to recalled items."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from export.contract.bundle import Bundle
from export.contract.column_stream import stream_columns
from export.contract.column_table import ColumnTable
from export.contract.errors import DataError
from export.contract.features import Raw
from export.contract.side import SideName
from export.contract.similarity import count_clipped
from export.contract.tables import RecordTable, read_records
from export.embedder import Embedder, Vectors, open_bundle
from export.index.base import VectorIndex
from export.index.cached import open_index
from export.index.exact import ExactConfig

CHUNK = 1024
PART = 16 * CHUNK  # rows of a table that are held at a time

Note = Callable[[str], None]

RECALLED = pa.schema(
    {"user_id": pa.string(), "rank": pa.int32(), "item_id": pa.string(), "score": pa.float32()}
)


def embed_file(
    folder: Path, side: SideName, source: Path, out: Path, *, on_note: Note = lambda text: None
) -> int:
    """Embed a table of records; writes columns `<side>_id`, `vector`, and returns the rows.

    Memory grows with the rows of a Parquet file by eight bytes each. `on_note` is told which
    columns are no features, which features have no column, and how many items the lift of an inner
    product cut.

    Raises:
        BundleError, DataError: As reading them does.
    """
    check_ending(out)
    bundle, embedder = open_bundle(folder)
    dim, cut = bundle.schema.dim, 0
    schema = pa.schema(
        [(f"{side}_id", pa.string()), ("vector", pa.list_(pa.field("item", pa.float32()), dim))]
    )

    def parts() -> Iterator[pa.Table]:
        nonlocal cut
        for table in _stream(source, bundle, side, on_note):
            vectors = embedder.embed_columns(side, table)
            cut += _count_cut(embedder, side, vectors)
            flat = pa.array(vectors.reshape(-1), pa.float32())
            columns = [
                table.ids.cast(pa.string()),
                pa.FixedSizeListArray.from_arrays(flat, dim),
            ]
            yield pa.table(columns, schema=schema)

    rows = write_tables(out, schema, parts())
    _tell_cut(cut, on_note)
    return rows


def recall_file(
    folder: Path,
    users: Path,
    k: int,
    out: Path,
    *,
    items: Path | None = None,
    exact: bool = False,
    on_note: Note = lambda text: None,
) -> int:
    """Recall k items for each user; writes columns user_id, rank (from 1), item_id, score.

    `items` is a table to recall from instead of the bundle's catalogue, always exactly. Fewer
    than k come back for a smaller catalogue. `on_note` is told what `embed_file` tells. Returns the
    rows.

    Raises:
        BundleError, DataError: As reading them does.
    """
    check_ending(out)
    bundle, embedder = open_bundle(folder)
    asked = _read(users, bundle, "user", on_note)
    if items is not None:
        other = _read(items, bundle, "item", on_note)
        ids, index = other.ids, ExactConfig().build(_embed(embedder, "item", other, on_note))
    else:
        ids = bundle.ids
        index = ExactConfig().build(bundle.vectors) if exact else open_index(bundle)
    return write_tables(
        out, RECALLED, _recall(embedder, asked, np.array(ids, dtype=object), index, k)
    )


def _read(path: Path, bundle: Bundle, side_name: SideName, on_note: Note) -> RecordTable:
    """Read a table of records, and say where its columns and the features differ."""
    table = read_records(path, bundle.schema.side(side_name), f"{side_name}_id")
    table = _with_concepts(table, bundle, side_name)
    others = table.extras.column_names
    _tell_columns(table.features, others, path, bundle, side_name, on_note)
    return table


def _stream(
    path: Path, bundle: Bundle, side_name: SideName, on_note: Note
) -> Iterator[ColumnTable]:
    """Read the same in parts, so that memory does not grow with the rows."""
    side = bundle.schema.side(side_name)
    for number, part in enumerate(stream_columns(path, side, f"{side_name}_id", PART)):
        if not number:
            _tell_columns(part.features, part.others, path, bundle, side_name, on_note)
        yield bundle.concepts.join_columns(side_name, part)


def _tell_columns(
    features: Sequence[str],
    others: Sequence[str],
    path: Path,
    bundle: Bundle,
    side_name: SideName,
    on_note: Note,
) -> None:
    side = bundle.schema.side(side_name)
    if others:
        on_note(f"{path}: columns that are no features: {', '.join(others)}")
    told = {*features, *side.concepts}
    if missing := [name for name in side.given if name not in told]:
        on_note(f"{path}: features without a column: {', '.join(missing)}")


def _with_concepts(table: RecordTable, bundle: Bundle, side_name: SideName) -> RecordTable:
    """Return the table with what concepts tell, where it has no column for that."""
    side = bundle.schema.side(side_name)
    if not any(name not in table.features for name in side.concepts):
        return table
    given = dict.fromkeys(table.features)  # a column that is there tells what is missing, too
    joined = (bundle.concepts.join(side_name, {**given, **record}) for record in table.records)
    records: list[dict[str, Raw]] = [
        {name: value for name, value in one.items() if value is not None} for one in joined
    ]
    return replace(table, records=records)


def _embed(embedder: Embedder, side: SideName, table: RecordTable, on_note: Note) -> Vectors:
    vectors = embedder.embed(side, table.records)
    _tell_cut(_count_cut(embedder, side, vectors), on_note)
    return vectors


def _count_cut(embedder: Embedder, side: SideName, vectors: Vectors) -> int:
    return count_clipped(embedder.schema.similarity, vectors) if side == "item" else 0


def _tell_cut(cut: int, on_note: Note) -> None:
    if cut:
        on_note(f"{cut} items are longer than the bundle's largest_norm and were cut to it")


def _recall(
    embedder: Embedder, users: RecordTable, ids: NDArray[np.object_], index: VectorIndex, k: int
) -> Iterator[pa.Table]:
    for start in range(0, len(users), CHUNK):
        part = users.records[start : start + CHUNK]
        labels, scores = index.search(embedder.embed("user", part), k)
        found = labels.shape[1]
        names = np.repeat(np.array(users.ids[start : start + CHUNK], dtype=object), found)
        columns = {
            "user_id": names,
            "rank": np.tile(np.arange(1, found + 1), len(part)),
            "item_id": ids[labels.reshape(-1)],
            "score": scores.reshape(-1),
        }
        yield pa.table(columns, schema=RECALLED)


def write_tables(out: Path, schema: pa.Schema, parts: Iterable[pa.Table]) -> int:
    """Write Parquet or CSV by the file's ending; the old file or the new one, never a mix.

    Parts are written as they come, so that memory does not grow with their number; returns the
    rows.

    Raises:
        DataError: Another ending.
    """
    check_ending(out)
    is_csv = out.suffix == ".csv"
    schema, rows = _flat(schema.empty_table()).schema if is_csv else schema, 0
    kind = pyarrow.csv.CSVWriter if is_csv else _parquet_writer
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        unfinished = Path(folder) / out.name
        with kind(unfinished, schema) as writer:
            for part in parts:
                writer.write_table(_flat(part) if is_csv else part)
                rows += len(part)
        unfinished.replace(out)
    return rows


def _parquet_writer(path: Path, schema: pa.Schema) -> pyarrow.parquet.ParquetWriter:
    """Open a writer: floats of vectors hardly repeat, so neither dictionary nor codec helps them.

    Both are left to the other columns.
    """
    vectors = [one.name for one in schema if pa.types.is_fixed_size_list(one.type)]
    others = [one.name for one in schema if one.name not in vectors]
    codecs = {f"{name}.list.element": "none" for name in vectors}
    return pyarrow.parquet.ParquetWriter(
        path,
        schema,
        use_dictionary=others,
        write_statistics=others,
        compression={**dict.fromkeys(others, "snappy"), **codecs},
    )


def check_ending(out: Path) -> None:
    """Check that a file to be written is named .parquet or .csv.

    Raises:
        DataError: It is not.
    """
    if out.suffix not in (".parquet", ".csv"):
        raise DataError(f"{out}: got {out.suffix!r}, expected a .parquet or .csv file")


def _flat(table: pa.Table) -> pa.Table:
    """Write vectors out as text, which is all that CSV can hold."""
    if "vector" not in table.column_names:
        return table
    text = [" ".join(f"{x:.9g}" for x in vector) for vector in table.column("vector").to_pylist()]
    position = table.column_names.index("vector")
    return table.set_column(position, "vector", pa.array(text, pa.string()))
