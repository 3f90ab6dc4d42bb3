"""A bundle without a service: records to vectors, users to recalled items."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from export.contract.bundle import Bundle
from export.contract.errors import DataError
from export.contract.schema import SideName
from export.contract.tables import RecordTable, read_records
from export.embedder import Embedder, open_bundle
from export.index.base import VectorIndex
from export.index.cached import open_index
from export.index.exact import ExactConfig

CHUNK = 1024


def embed_file(folder: Path, side: SideName, source: Path, out: Path) -> int:
    """Embed a table of records; writes columns `<side>_id`, `vector`, and returns the rows.

    Raises:
        BundleError, DataError: As reading them does.
    """
    bundle, embedder = open_bundle(folder)
    table = read_records(source, bundle.schema.side(side), f"{side}_id")
    vectors = embedder.embed(side, table.records)
    flat = pa.array(vectors.reshape(-1), pa.float32())
    column = pa.FixedSizeListArray.from_arrays(flat, bundle.schema.dim)
    write_table(out, pa.table({f"{side}_id": pa.array(table.ids), "vector": column}))
    return len(table)


def recall_file(
    folder: Path, users: Path, k: int, out: Path, *, items: Path | None = None, exact: bool = False
) -> int:
    """Recall k items for each user; writes columns user_id, rank (from 1), item_id, score.

    `items` is a table to recall from instead of the bundle's catalogue. Returns the rows.

    Raises:
        BundleError, DataError: As reading them does.
    """
    bundle, embedder = open_bundle(folder)
    asked = read_records(users, bundle.schema.user, "user_id")
    ids, index = _searched(bundle, embedder, items, exact)
    parts = [*_recall(embedder, asked, np.array(ids, dtype=object), index, k)]
    write_table(out, pa.concat_tables(parts))
    return sum(len(part) for part in parts)


def _searched(
    bundle: Bundle, embedder: Embedder, items: Path | None, exact: bool
) -> tuple[list[str], VectorIndex]:
    if items is not None:
        table = read_records(items, bundle.schema.item, "item_id")
        vectors = embedder.embed("item", table.records)
        return table.ids, ExactConfig().build(vectors)
    return bundle.ids, ExactConfig().build(bundle.vectors) if exact else open_index(bundle)


def _recall(
    embedder: Embedder, users: RecordTable, ids: NDArray[np.object_], index: VectorIndex, k: int
) -> Iterator[pa.Table]:
    for start in range(0, len(users), CHUNK):
        part = users.records[start : start + CHUNK]
        labels, scores = index.search(embedder.embed("user", part), k)
        found = labels.shape[1]
        names = np.repeat(np.array(users.ids[start : start + CHUNK], dtype=object), found)
        yield pa.table(
            {
                "user_id": pa.array(names, pa.string()),
                "rank": pa.array(np.tile(np.arange(1, found + 1), len(part)), pa.int32()),
                "item_id": pa.array(ids[labels.reshape(-1)], pa.string()),
                "score": pa.array(scores.reshape(-1), pa.float32()),
            }
        )


def write_table(out: Path, table: pa.Table) -> None:
    """Write Parquet or CSV by the file's ending; the old file or the new one, never a mix.

    Raises:
        DataError: Another ending.
    """
    if out.suffix not in (".parquet", ".csv"):
        raise DataError(f"{out}: got {out.suffix!r}, expected a .parquet or .csv file")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        part = Path(folder) / out.name
        if out.suffix == ".csv":
            pyarrow.csv.write_csv(_flat(table), part)
        else:
            pyarrow.parquet.write_table(table, part)
        part.replace(out)


def _flat(table: pa.Table) -> pa.Table:
    """Write vectors out as text, which is all that CSV can hold."""
    if "vector" not in table.column_names:
        return table
    text = [" ".join(f"{x:.7g}" for x in vector) for vector in table.column("vector").to_pylist()]
    return table.set_column(table.column_names.index("vector"), "vector", pa.array(text))
