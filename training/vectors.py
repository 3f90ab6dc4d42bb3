"""Given vectors: tables of ids and vectors, brought into the order of the users or items."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from export.contract.errors import DataError
from export.contract.strict import Strict
from export.contract.tables import read_ids, read_table, unique_ids

Given = NDArray[np.float32]


class VectorFiles(Strict):
    """Two tables in the data folder: vectors of users and of items whose product is a score."""

    users: str = "user_factors.parquet"
    items: str = "item_factors.parquet"

    @property
    def data_files(self) -> tuple[str, ...]:
        """Both tables."""
        return self.users, self.items

    def read(self, folder: Path, users: Sequence[str], items: Sequence[str]) -> tuple[Given, Given]:
        """Return float32[users, size] and float32[items, size], NaN for who has no vector.

        Raises:
            DataError: A table cannot be used, or the two have vectors of unlike lengths.
        """
        of_users = read_vectors(folder / self.users, users, "user_id")
        of_items = read_vectors(folder / self.items, items, "item_id")
        if of_users.shape[1] != of_items.shape[1]:
            raise DataError(
                f"{folder / self.users}: its vectors have {of_users.shape[1]} numbers, those of "
                f"{self.items} {of_items.shape[1]}; expected as many"
            )
        return of_users, of_items


def read_vectors(path: Path, ids: Sequence[str], id_column: str) -> Given:
    """Return float32[ids, size] of these users or items, NaN where the table has no vector.

    The table has columns user_id or item_id and vector, a list of numbers; other ids are left out.

    Raises:
        DataError: Names file, row, what came and what would be right.

    """
    table = read_table(path)
    listed = read_ids(table, id_column, path)
    rows = unique_ids(listed, id_column, path)
    given = _vectors(table, path)
    at = np.array([rows.get(one, -1) for one in ids], dtype=np.int64)
    if not (at >= 0).any():
        raise DataError(f"{path}: none of its {len(listed)} ids is one of the {id_column[:-3]}s")
    vectors = np.full((len(ids), given.shape[1]), np.nan, dtype=np.float32)
    vectors[at >= 0] = given[at[at >= 0]]
    return vectors


def _vectors(table: pa.Table, path: Path) -> Given:
    """Return the column as float32[rows, size], all finite."""
    if "vector" not in table.column_names:
        have = ", ".join(table.column_names)
        raise DataError(f"{path}: no column 'vector'; the columns are {have}")
    vectors = _flat(table.column("vector"))
    if vectors is None:
        vectors = _checked(table.column("vector").to_pylist(), path)
    if not np.isfinite(vectors).all():
        row = int(np.argmin(np.isfinite(vectors).all(axis=1))) + 1
        raise DataError(f"{path}: column 'vector', row {row}: expected finite numbers")
    return vectors


def _flat(column: pa.ChunkedArray) -> Given | None:
    """Return lists of floats as they lie, where all are of one length; a fault is None."""
    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)
    if not is_list or not pa.types.is_floating(kind.value_type):
        return None
    sizes = pc.list_value_length(column).unique().to_pylist()
    numbers = column.combine_chunks().flatten()
    if len(sizes) != 1 or not sizes[0] or numbers.null_count:
        return None
    return np.asarray(numbers, dtype=np.float32).reshape(-1, sizes[0])


def _checked(cells: list[Any], path: Path) -> Given:
    """Return cells as float32[rows, size], and name the row that is none."""
    size = len(cells[0]) if cells and isinstance(cells[0], list) else 0
    for row, cell in enumerate(cells, start=1):
        if not isinstance(cell, list) or len(cell) != size or not size:
            got = f"{len(cell)} numbers" if isinstance(cell, list) else f"{cell!r:.40}"
            wanted = f"a list of {size} numbers, as in row 1" if size else "a list of numbers"
            raise DataError(f"{path}: column 'vector', row {row}: got {got}, expected {wanted}")
    try:
        return np.array(cells, dtype=np.float32).reshape(len(cells), size)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: column 'vector': {error}") from error
