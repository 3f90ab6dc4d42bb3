"""A bundle without a service: records to vectors, users to recalled items."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from export.contract.side import SideName
from export.contract.similarity import count_clipped
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
    if items is not None:
        ids, vectors = _catalogue(items, bundle, embedder, on_note)
        index = ExactConfig().build(vectors)
    else:
        ids = bundle.ids
        index = ExactConfig().build(bundle.vectors) if exact else open_index(bundle)
    parts = _recall(
        embedder,
        _stream(users, bundle, "user", on_note),
        np.array(ids, dtype=object),
        index,
        k,
    )
    return write_tables(out, RECALLED, parts)


def _catalogue(
    path: Path, bundle: Bundle, embedder: Embedder, on_note: Note
) -> tuple[list[str], Vectors]:
    """Return the ids and vectors of a table of items, and say how many were cut."""
    ids: list[str] = []
    vectors = []
    for table in _stream(path, bundle, "item", on_note):
        ids += table.ids.to_pylist()
        vectors.append(embedder.embed_columns("item", table))
    _tell_cut(sum(_count_cut(embedder, "item", part) for part in vectors), on_note)
    return ids, np.concatenate(vectors)


def _stream(
    path: Path, bundle: Bundle, side_name: SideName, on_note: Note
) -> Iterator[ColumnTable]:
    """Read a table in parts, and say where its columns and the features differ."""
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


def _count_cut(embedder: Embedder, side: SideName, vectors: Vectors) -> int:
    return count_clipped(embedder.schema.similarity, vectors) if side == "item" else 0


def _tell_cut(cut: int, on_note: Note) -> None:
    if cut:
        on_note(f"{cut} items are longer than the bundle's largest_norm and were cut to it")


def _recall(
    embedder: Embedder,
    users: Iterable[ColumnTable],
    ids: NDArray[np.object_],
    index: VectorIndex,
    k: int,
) -> Iterator[pa.Table]:
    for table in users:
        vectors, names = embedder.embed_columns("user", table), table.ids.to_pylist()
        for start in range(0, len(table), CHUNK):
            part = slice(start, start + CHUNK)
            labels, scores = index.search(vectors[part], k)
            rows, found = labels.shape
            columns = {
                "user_id": np.repeat(np.array(names[part], dtype=object), found),
                "rank": np.tile(np.arange(1, found + 1), rows),
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
