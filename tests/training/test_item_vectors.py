"""Given vectors of items come in the order of the items, or with a fault that names its row."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from export.contract.errors import DataError
from training.item_vectors import read_item_vectors


def written(folder: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path := folder / "v.parquet")
    return path


def test_vectors_stand_in_the_order_of_the_items_and_others_have_none(tmp_path: Path) -> None:
    path = written(tmp_path, item_id=["b", "x", "a"], vector=[[1, 2], [9, 9], [0.5, 4]])
    found = read_item_vectors(path, ["a", "c", "b"])
    np.testing.assert_array_equal(found, np.array([[0.5, 4], [np.nan, np.nan], [1, 2]]))
    assert found.dtype == np.float32


@pytest.mark.parametrize("column", [pa.list_(pa.float32()), pa.list_(pa.float64(), 2)])
def test_lists_of_either_sort_are_read(tmp_path: Path, column: pa.DataType) -> None:
    vector = pa.array([[1.0, 2.0], [3.0, 4.0]], column)
    found = read_item_vectors(written(tmp_path, item_id=[1, 2], vector=vector), ["1", "2"])
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
        ({"item_id": ["a"], "vector": [["x"]]}, "column 'vector': could not convert"),
        ({"item_id": ["a"], "vector": [[float("inf")]]}, "row 1: expected finite numbers"),
        ({"item_id": ["z"], "vector": [[1.0]]}, "none of its 1 ids is an item"),
    ],
)
def test_fault_names_row_and_remedy(tmp_path: Path, columns: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_item_vectors(written(tmp_path, **columns), ["a", "b"])
