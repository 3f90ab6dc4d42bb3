from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from examples.kuairand.prepare import INTERACTIONS, NUMBERS_OF_USER, TEXT_OF_USER, prepare

DATA = Path(__file__).parents[2] / "examples" / "kuairand" / "data"
APRIL_25_BEIJING_S = 1650816000  # 2022-04-25 00:00 +08:00
HOUR_S = 3600


def shipped(name: str) -> pa.Table:
    return pq.read_table(DATA / f"{name}.parquet")


def column(table: pa.Table, name: str) -> np.ndarray:
    values: np.ndarray = table[name].to_numpy()
    return values


def texts(count: int) -> str:
    return f"{count:,}"


# The shipped sample


def test_interactions_have_the_documented_columns() -> None:
    table = shipped("interactions")
    assert table.schema.equals(INTERACTIONS)
    optional = {"tab", "hour"}
    assert all(table[name].null_count == 0 for name in table.column_names if name not in optional)
    assert set(table["split"].unique().to_pylist()) == {"train", "unused", "test"}
    assert set(table["label"].unique().to_pylist()) == {0, 1}


def test_ids_are_unique_text_and_every_interaction_knows_both_sides() -> None:
    interactions = shipped("interactions")
    for name, column_name in (("users", "user_id"), ("items", "item_id")):
        ids = shipped(name)[column_name]
        assert ids.type == pa.string()
        assert len(ids.unique()) == len(ids)
        assert set(interactions[column_name].to_pylist()) <= set(ids.to_pylist())


def test_codes_are_whole_and_tags_are_lists() -> None:
    users, items = shipped("users"), shipped("items")
    for name in TEXT_OF_USER:
        assert users.schema.field(name).type == pa.string()
        assert not any(
            value.endswith(".0") for value in users[name].unique().drop_null().to_pylist()
        )
    assert users["onehot_feat4"].null_count == 66
    assert items.schema.field("tags").type == pa.list_(pa.string())
    assert sum(not tags for tags in items["tags"].to_pylist()) == 81
    assert all("," not in tag for tags in items["tags"].to_pylist() for tag in tags)
    assert 1 < np.nanmedian(column(items, "duration_s")) < 600


def test_readme_states_the_counts_of_the_tables() -> None:
    readme = (DATA / "README.md").read_text()
    interactions, cold = shipped("interactions"), shipped("cold")
    splits = Counter(interactions["split"].to_pylist())
    rows = [table.num_rows for table in (interactions, cold, shipped("users"), shipped("items"))]
    assert rows == [82457, 1225, 2000, 6018]
    assert all(texts(count) in readme for count in [*rows, *splits.values()])


def test_no_row_is_there_twice() -> None:
    table = shipped("interactions")
    assert table.group_by(["user_id", "item_id", "timestamp"]).aggregate([]).num_rows == len(table)


def test_order_follows_time_within_each_user() -> None:
    table = shipped("interactions")
    user, time, order = (column(table, name) for name in ("user_id", "timestamp", "order"))
    same = user[1:] == user[:-1]
    assert len(set(user)) == 1 + int((~same).sum()), "rows of one user lie together"
    assert (order[0], *order[1:][~same]) == (0,) * len(set(user))
    step, passed = np.diff(order)[same], np.diff(time)[same]
    assert set(step) == {0, 1}
    assert np.array_equal(step == 1, passed > 0)
    assert (passed >= 0).all()


def test_history_precedes_exposures_and_train_precedes_test() -> None:
    table = shipped("interactions")
    user, order = column(table, "user_id"), column(table, "order")
    is_history = table["hour"].is_null().to_numpy()
    is_test = column(table, "split") == "test"
    assert np.array_equal(is_history, table["tab"].is_null().to_numpy())
    assert is_history.sum() == 64092
    for earlier, later in ((is_history, ~is_history), (~is_test, is_test)):
        last: dict[str, int] = {}
        for name, at in zip(user[earlier], order[earlier], strict=True):
            last[name] = max(last.get(name, -1), at)
        first = zip(user[later], order[later], strict=True)
        assert all(at > last.get(name, -1) for name, at in first)


def test_times_are_seconds_of_the_weeks_described() -> None:
    table = shipped("interactions")
    time = column(table, "timestamp")
    is_history = table["hour"].is_null().to_numpy()
    assert time[is_history].max() < APRIL_25_BEIJING_S
    # The log files an exposure by the hour of its request, up to an hour after its own time.
    assert time[~is_history].min() > APRIL_25_BEIJING_S - HOUR_S
    assert time.max() < APRIL_25_BEIJING_S + 14 * 24 * HOUR_S


def test_cold_ids_have_no_train_row_and_occur_in_test() -> None:
    table, cold = shipped("interactions"), shipped("cold")
    pairs = set(zip(cold["kind"].to_pylist(), cold["id"].to_pylist(), strict=True))
    cold_users = {name for kind, name in pairs if kind == "user"}
    cold_items = {name for kind, name in pairs if kind == "item"}
    assert (len(cold_users), len(cold_items)) == (298, 927)
    assert cold_users <= set(shipped("users")["user_id"].to_pylist())
    assert cold_items <= set(shipped("items")["item_id"].to_pylist())
    found: Counter[tuple[str, bool]] = Counter()
    rows = (table[name].to_pylist() for name in ("user_id", "item_id", "split"))
    for user, item, split in zip(*rows, strict=True):
        found[split, user in cold_users or item in cold_items] += 1
    assert found["train", True] == 0
    assert found["unused", False] == 0
    assert found["test", True] == 1561 + 1381 + 265


def test_licence_attribution_and_changes_lie_beside_the_data() -> None:
    licence = (DATA / "LICENSE.CC-BY-SA-4.0").read_text()
    readme = (DATA / "README.md").read_text()
    assert licence.startswith("Attribution-ShareAlike 4.0 International")
    for said in ("Gao et al.", "10.1145/3511808.3557624", "CC BY-SA 4.0", "## Changes"):
        assert said in readme


# prepare.py on a made source


def write_source(folder: Path) -> Path:
    tables = {
        "cold_split": {"kind": ["user", "video"], "id": [3, 12]},
        "history_users": {"user_id": [2, 1], "history_len": [9, 2], "last_time_ms": [500, 9_000]},
        "history": {
            "user_id": [1, 1, 2],
            "video_id": [10, 12, 10],
            "pos_from_end": [-2, -1, -1],
            "long_view": [0, 1, 1],
        },
        "exposures_made": {
            # Rows 1 and 2 are one row; row 3 is logged again; 4 shares its moment with row 3.
            "user_id": [1, 1, 1, 1, 1, 3],
            "video_id": [10, 10, 10, 11, 12, 10],
            "time_ms": [20_000, 20_000, 20_000, 20_000, 30_500, 1_000],
            "hourmin": [100, 100, 200, 100, 2300, 0],
            "long_view": [1, 1, 1, 0, 1, 0],
            "tab": [1, 1, 1, 0, 4, 1],
            "window": ["val", "val", "val", "val", "test", "val"],
        },
        "users": {
            "user_id": [1, 2, 3],
            **{name: ["a", "b", "c"] for name in TEXT_OF_USER},
            **{name: [1, 2, 3] for name in NUMBERS_OF_USER},
            "onehot_feat4": [1.0, None, 12.0],
        },
        "videos": {
            "video_id": [10, 11, 12],
            "author_id": [7, 7, 8],
            "video_type": ["NORMAL"] * 3,
            "upload_dt": ["2022-04-10"] * 3,
            "upload_type": ["Web"] * 3,
            "visible_status": [0.0, 0.0, None],
            "video_duration": [1500.0, None, 60_000.0],
            "server_width": [720.0] * 3,
            "server_height": [1280.0] * 3,
            "music_id": [5, 6, 5],
            "music_type": [9.0, None, 4.0],
            "tag": ["39,2", None, "39"],
        },
    }
    folder.mkdir()
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return folder


def test_made_source_becomes_the_three_tables(tmp_path: Path) -> None:
    counts = prepare(write_source(tmp_path / "source"), tmp_path / "data")
    rows = pq.read_table(tmp_path / "data" / "interactions.parquet").to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("1", "10", 7.0, 0, 0, "train", None, None),
        ("1", "12", 8.0, 1, 1, "unused", None, None),
        ("1", "10", 20.0, 2, 1, "train", "1", "1"),
        ("1", "11", 20.0, 2, 0, "train", "0", "1"),
        ("1", "12", 30.5, 3, 1, "test", "4", "23"),
        ("2", "10", -0.5, 0, 1, "train", None, None),
        ("3", "10", 1.0, 0, 0, "unused", "1", "0"),
    ]
    assert counts["exact repeats dropped"] == 1
    assert counts["rows logged again dropped"] == 1
    assert counts["train rows"] == 4
    assert counts["test cold_item long views"] == 1

    users = pq.read_table(tmp_path / "data" / "users.parquet")
    assert users["onehot_feat4"].to_pylist() == ["1", None, "12"]
    items = pq.read_table(tmp_path / "data" / "items.parquet")
    assert items["item_id"].to_pylist() == ["10", "11", "12"]
    assert items["tags"].to_pylist() == [["39", "2"], [], ["39"]]
    assert items["duration_s"].to_pylist() == [1.5, None, 60.0]
    assert items["visible_status"].to_pylist() == ["0", "0", None]
    cold = pq.read_table(tmp_path / "data" / "cold.parquet")
    assert cold.to_pylist() == [{"kind": "user", "id": "3"}, {"kind": "item", "id": "12"}]


def test_missing_source_table_is_named(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source")
    (source / "history.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"history_until_\*\.parquet or history\.parquet"):
        prepare(source, tmp_path / "data")


def test_history_user_without_a_last_time_is_an_error(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source")
    only_one = pa.table({"user_id": [1], "last_time_ms": [9_000]})
    pq.write_table(only_one, source / "history_users.parquet")
    with pytest.raises(ValueError, match="history_users"):
        prepare(source, tmp_path / "data")
