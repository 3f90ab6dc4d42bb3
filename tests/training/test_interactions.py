from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from export.contract.errors import DataError
from export.contract.features import Category, Number
from training import interactions
from training.interactions import Features, Interactions, read_interactions

USERS, ITEMS = [f"u{n}" for n in range(9)], [f"i{n}" for n in range(7)]
CARRIED: Features = {"user": {"mood": Category()}, "item": {"price": Number()}}
ROWS = 400


def table() -> pa.Table:
    """Make rows of every kind of column; some are of nobody, and every fifth is there twice."""
    rng = np.random.default_rng(1)

    def drawn(values: list[object], kind: pa.DataType) -> pa.Array:
        return pa.array([values[n] for n in rng.integers(0, len(values), ROWS)], kind)

    moments = [datetime(2024, 1, day, tzinfo=UTC) for day in range(1, 9)]
    late_null = [*range(ROWS - 1), None]
    rows = pa.table(
        {
            "user_id": drawn([*USERS, "nobody"], pa.string()).dictionary_encode(),
            "item_id": drawn([*ITEMS, "nothing"], pa.large_string()),
            "label": drawn([0, 1], pa.int64()),
            "weight": drawn([0.5, 1.0], pa.float32()),
            "timestamp": drawn([*moments], pa.timestamp("ms", "UTC")),
            "order": drawn([*range(5)], pa.uint8()),
            "mood": drawn(["glad", " calm", None], pa.string()),
            "price": drawn([1.5, None, float("nan"), -0.0], pa.float64()),
            "place": drawn(["home", "search", None], pa.string()).dictionary_encode(),
            "seconds": drawn([1.25, float("nan"), None], pa.float64()),
            "count": pa.array(late_null, pa.int64()),  # only the last part has a null
            "is_new": drawn([True, False, None], pa.bool_()),
            "tags": drawn([["a", "b"], [], None], pa.list_(pa.string())),
            "cents": drawn([Decimal("1.50"), None], pa.decimal128(5, 2)),
            "nothing": pa.nulls(ROWS),
        }
    )
    again = np.sort(np.concatenate([np.arange(ROWS), np.arange(0, ROWS, 5)]))
    return rows.take(pa.array(again))


def read(
    path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[Interactions, dict[str, int]]:
    monkeypatch.setattr(interactions, "ROWS", size)
    return read_interactions(path, USERS, ITEMS, CARRIED)


def test_rows_read_in_parts_are_those_of_one_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "interactions.parquet"
    pq.write_table(table(), path, row_group_size=64)
    (whole, dropped), (parts, dropped_of_parts) = (
        read(path, size, monkeypatch) for size in (1 << 18, 17)
    )
    assert dropped == dropped_of_parts
    assert min(dropped.values()) > 0
    for name in ("user", "item", "label", "weight", "timestamp", "order"):
        one, other = getattr(parts, name), getattr(whole, name)
        np.testing.assert_array_equal(one, other, err_msg=name)
        assert one.dtype == other.dtype
    assert parts.columns.keys() == whole.columns.keys()
    for name, column in whole.columns.items():
        assert parts.columns[name].dtype == column.dtype, name
        assert list(map(repr, parts.columns[name])) == list(map(repr, column)), name
    everyone = np.arange(len(whole))
    for one, other in (
        (parts.carried["user"]["mood"], whole.carried["user"]["mood"]),
        (parts.carried["item"]["price"], whole.carried["item"]["price"]),
    ):
        assert one.at(everyone) == other.at(everyone)
    assert len(parts.carried["user"]["mood"].values) == 3, "each distinct cell is parsed once"


@pytest.mark.parametrize(
    ("column", "bad"), [("label", 7), ("weight", -1.0), ("user_id", ""), ("price", 1e39)]
)
def test_a_fault_in_a_later_part_names_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: str, bad: object
) -> None:
    rows = table().to_pylist()
    rows[299][column] = bad
    path = tmp_path / "interactions.parquet"
    pq.write_table(pa.Table.from_pylist(rows, table().schema), path)
    with pytest.raises(DataError, match=f"column '{column}', row 300: got"):
        read(path, 17, monkeypatch)


def test_moments_written_as_text_are_of_one_kind_in_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "interactions.parquet"
    text = ["1700000000", "2024-01-01T00:00:00"]
    pq.write_table(
        pa.table({"user_id": ["u1", "u2"], "item_id": ["i1", "i2"], "timestamp": text}), path
    )
    with pytest.raises(DataError, match="column 'timestamp', row 1"):
        read(path, 1, monkeypatch)
