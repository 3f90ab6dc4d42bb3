"""A table that is read in parts is the table that is read whole, and its faults are the same."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from export.contract.column_stream import stream_columns
from export.contract.errors import DataError
from export.contract.side import Side
from export.contract.tables import read_records

SIDE = Side.model_validate(
    {
        "content": {
            "tags": {"kind": "tags"},
            "maker": {"kind": "category"},
            "year": {"kind": "number"},
        }
    }
)


def write(path: Path, **columns: Any) -> Path:
    table = pa.table(
        {
            "item_id": [f"i{n}" for n in range(10)],
            "tags": [["a", "b"], None, [], ["c"], ["d", "e"]] * 2,
            "maker": ["m1", None, "m2", "m1", "m3"] * 2,
            "year": [1.0, None, 2.0, 3.0, 4.0] * 2,
            "note": list("abcdefghij"),
        }
        | columns
    )
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(table.drop_columns(["tags"]), path)
    else:
        pyarrow.parquet.write_table(table, path, row_group_size=4)
    return path


@pytest.mark.parametrize("rows", [1, 3, 4, 9, 10, 100])
def test_parts_put_together_are_the_whole(tmp_path: Path, rows: int) -> None:
    path = write(tmp_path / "items.parquet")
    whole = read_records(path, SIDE, "item_id")
    parts = list(stream_columns(path, SIDE, "item_id", rows))
    assert max(map(len, parts)) <= rows
    assert [one for part in parts for one in part.ids.to_pylist()] == whole.ids
    assert {part.features for part in parts} == {whole.features}
    assert {part.others for part in parts} == {tuple(whole.extras.column_names)}
    [all_at_once] = stream_columns(path, SIDE, "item_id", 10)
    for name, column in all_at_once.columns.items():
        known = [one for part in parts for one in part.columns[name].known]
        assert known == column.known.tolist() == [name in one for one in whole.records]


def test_csv_and_an_empty_table_come_whole(tmp_path: Path) -> None:
    [part] = stream_columns(write(tmp_path / "items.csv"), SIDE, "item_id", 3)
    assert len(part) == 10
    pyarrow.parquet.write_table(
        pa.table({"item_id": pa.array([], pa.string())}), tmp_path / "no.parquet"
    )
    [none] = stream_columns(tmp_path / "no.parquet", SIDE, "item_id", 3)
    assert none.ids.to_pylist() == []


FAULTS: dict[str, dict[str, Any]] = {
    "a cell": {"year": [1.0] * 7 + [float("inf")] + [1.0] * 2},
    "an id": {"item_id": [f"i{n}" for n in range(8)] + ["", "i9"]},
    "an id twice": {"item_id": ["i0", *(f"i{n}" for n in range(1, 9)), "i0"]},
    "an id twice, as a number": {"item_id": [*range(9), 0]},
    "no id": {"item_id": [*(f"i{n}" for n in range(9)), None]},
}


@pytest.mark.parametrize("columns", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_told_in_the_same_words_as_of_the_whole(
    tmp_path: Path, columns: dict[str, Any]
) -> None:
    path = write(tmp_path / "items.parquet", **columns)
    with pytest.raises(DataError) as whole:
        read_records(path, SIDE, "item_id")
    with pytest.raises(DataError) as parts:
        list(stream_columns(path, SIDE, "item_id", 3))
    assert str(parts.value) == str(whole.value)


def test_a_missing_id_column_and_a_file_that_is_none_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "items.parquet")
    with pytest.raises(DataError, match="no column 'user_id'"):
        list(stream_columns(path, SIDE, "user_id", 3))
    with pytest.raises(DataError, match="no such file"):
        list(stream_columns(tmp_path / "other.parquet", SIDE, "item_id", 3))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match=r"bad\.parquet"):
        list(stream_columns(tmp_path / "bad.parquet", SIDE, "item_id", 3))
