"""Given vectors come in the order of the ids, or with a fault that names its row."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from export.contract.errors import DataError
from training.vectors import VectorFiles, read_vectors


def written(folder: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path := folder / "v.parquet")
    return path


def test_vectors_stand_in_the_order_of_the_items_and_others_have_none(tmp_path: Path) -> None:
    path = written(tmp_path, item_id=["b", "x", "a"], vector=[[1, 2], [9, 9], [0.5, 4]])
    found = read_vectors(path, ["a", "c", "b"], "item_id")
    np.testing.assert_array_equal(found, np.array([[0.5, 4], [np.nan, np.nan], [1, 2]]))
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    "column", [pa.list_(pa.float32()), pa.list_(pa.float64(), 2), pa.list_(pa.int64())]
)
def test_lists_of_either_sort_are_read(tmp_path: Path, column: pa.DataType) -> None:
    vector = pa.array([[1, 2], [3, 4]], column)
    found = read_vectors(written(tmp_path, item_id=[1, 2], vector=vector), ["1", "2"], "item_id")
    assert found.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"item_id": ["a"]}, "no column 'vector'; the columns are item_id"),
        ({"vector": [[1.0]]}, "no column 'item_id'"),
        ({"item_id": ["a", "a"], "vector": [[1.0], [2.0]]}, "'a' stands in row 1 .* in row 2"),
        (
            {"item_id": ["a", "b"], "vector": [[1.0, 2.0], [1.0]]},
            "row 2: got 1 numbers, expected a list of 2 numbers, as in row 1",
        ),
        ({"item_id": ["a", "b"], "vector": [[1.0], None]}, "row 2: got None, expected a list of 1"),
        ({"item_id": ["a"], "vector": [[]]}, "row 1: got 0 numbers, expected a list of numbers"),
        ({"item_id": ["a"], "vector": [1.0]}, "row 1: got 1.0, expected a list of numbers"),
        ({"item_id": ["a"], "vector": [[1.0, None]]}, "row 1: expected finite numbers"),
        ({"item_id": ["a", "b"], "vector": [[], []]}, "row 1: got 0 numbers"),
        ({"item_id": ["a"], "vector": [["x"]]}, "column 'vector': could not convert"),
        ({"item_id": ["a"], "vector": [[float("inf")]]}, "row 1: expected finite numbers"),
        ({"item_id": ["z"], "vector": [[1.0]]}, "none of its 1 ids is one of the items"),
    ],
)
def test_fault_names_row_and_remedy(tmp_path: Path, columns: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_vectors(written(tmp_path, **columns), ["a", "b"], "item_id")


def test_tables_of_several_row_groups_are_read(tmp_path: Path) -> None:
    vectors = np.arange(30, dtype=np.float32).reshape(10, 3)
    table = pa.table({"item_id": [str(n) for n in range(10)], "vector": vectors.tolist()})
    pq.write_table(table, tmp_path / "v.parquet", row_group_size=3)
    found = read_vectors(tmp_path / "v.parquet", ["9", "0", "4"], "item_id")
    np.testing.assert_array_equal(found, vectors[[9, 0, 4]])


def written_pair(folder: Path, user_size: int, item_size: int) -> None:
    for name, ids, size in (("user", ["u"], user_size), ("item", ["x", "y"], item_size)):
        table = pa.table({f"{name}_id": ids, "vector": [[1.0] * size for _ in ids]})
        pq.write_table(table, folder / f"{name}_factors.parquet")


def test_vectors_of_both_sides_come_together(tmp_path: Path) -> None:
    written_pair(tmp_path, 3, 3)
    users, items = VectorFiles().read(tmp_path, ["u", "v"], ["y"])
    assert users.shape == (2, 3)
    assert items.shape == (1, 3)
    assert np.isnan(users[1]).all()
    assert VectorFiles().data_files == ("user_factors.parquet", "item_factors.parquet")


def test_vectors_of_both_sides_have_one_length(tmp_path: Path) -> None:
    written_pair(tmp_path, 3, 2)
    with pytest.raises(DataError, match=r"user_factors.* have 3 numbers, those of item_fac.* 2"):
        VectorFiles().read(tmp_path, ["u"], ["x"])
