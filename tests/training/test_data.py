from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from export.contract.errors import DataError
from export.contract.side import Side
from tests.training.tables import write, write_csv
from training import interactions
from training.config import DataConfig
from training.data import Data, read_data

USERS = {"user_id": ["u1", "u2"], "gender": ["f", None]}
ITEMS = {"item_id": ["i1", "i2", "i3"], "tags": [["a"], [], None]}
USER = Side.model_validate(
    {
        "content": {"gender": {"kind": "category"}},
        "preference": {"recent": {"kind": "sequence", "aggregate": "last"}},
    }
)
ITEM = Side.model_validate({"content": {"tags": {"kind": "tags"}}})


@pytest.fixture(autouse=True, params=[1 << 18, 2], ids=["at once", "two rows at a time"])
def rows_at_a_time(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows are read at a time, the same is found."""
    monkeypatch.setattr(interactions, "ROWS", request.param)


def rows(**columns: Any) -> dict[str, Any]:
    return {"user_id": ["u1", "u1", "u2"], "item_id": ["i1", "i2", "i3"], **columns}


def read(folder: Path, interactions: Any, user: Side = USER, item: Side = ITEM) -> Data:
    config = write(folder, interactions=interactions, users=USERS, items=ITEMS)
    return read_data(config, user, item)


def test_rows_point_into_the_tables_and_defaults_are_filled(tmp_path: Path) -> None:
    found = read(tmp_path, rows()).interactions
    assert found.user.tolist() == [0, 0, 1]
    assert found.item.tolist() == [0, 1, 2]
    assert found.label.tolist() == [1, 1, 1]
    assert found.weight.tolist() == [1, 1, 1]
    assert found.timestamp is None
    assert found.order is None
    assert found.columns == {}


def test_unknown_ids_are_left_out_and_counted(tmp_path: Path) -> None:
    table = {
        "user_id": ["u1", "u9", "u1", "u9", "u2"],
        "item_id": ["i1", "i1", "i9", "i9", "i3"],
        "label": [1, 1, 1, 1, 0],
    }
    data = read(tmp_path, table)
    assert data.interactions.label.tolist() == [1, 0]
    assert data.dropped == {"unknown_user": 2, "unknown_item": 1, "exact_repeat": 0}


def test_exact_repeats_are_dropped_and_counted_and_the_first_stays(tmp_path: Path) -> None:
    table = {
        "user_id": ["u1", "u1", "u1", "u1"],
        "item_id": ["i1", "i1", "i1", "i1"],
        "label": [1, 1, 0, 1],
        "tab": ["x", "x", "x", None],
    }
    data = read(tmp_path, table)
    assert data.dropped["exact_repeat"] == 1
    assert data.interactions.label.tolist() == [1, 0, 1]
    assert data.interactions.columns["tab"].tolist() == ["x", "x", None]


def test_rows_that_differ_in_a_list_column_are_no_repeats(tmp_path: Path) -> None:
    table = {
        "user_id": ["u1"] * 5,
        "item_id": ["i1"] * 5,
        "seen": [["a", "b"], ["a", "b"], ["b", "a"], [], None],
    }
    data = read(tmp_path, table)
    assert data.dropped["exact_repeat"] == 1
    assert data.interactions.columns["seen"].tolist() == [["a", "b"], ["b", "a"], [], None]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from("12x"), st.sampled_from("123x"), st.integers(0, 1)), min_size=1
    )
)
def test_every_row_left_out_is_counted_once(
    tmp_path: Path, triples: list[tuple[str, str, int]]
) -> None:
    table = {
        "user_id": [f"u{u}" for u, _, _ in triples],
        "item_id": [f"i{i}" for _, i, _ in triples],
        "label": [label for _, _, label in triples],
    }
    known = {t for t in triples if t[0] != "x" and t[1] != "x"}
    if not known:
        with pytest.raises(DataError, match="no row is left"):
            read(tmp_path, table)
        return
    data = read(tmp_path, table)
    assert len(data.interactions) == len(known)
    assert sum(data.dropped.values()) == len(triples) - len(known)


def test_ids_of_whole_numbers_and_of_text_meet(tmp_path: Path) -> None:
    config = write(
        tmp_path,
        interactions={"user_id": [1, 2], "item_id": pa.array(["x", "y"]).dictionary_encode()},
        users={"user_id": ["1", "2"], "gender": ["f", "m"]},
        items={"item_id": ["x", "y"], "tags": [["a"], ["b"]]},
    )
    found = read_data(config, USER, ITEM).interactions
    assert found.user.tolist() == [0, 1]
    assert found.item.tolist() == [0, 1]


def test_csv_ids_stay_text(tmp_path: Path) -> None:
    config = write_csv(
        tmp_path,
        interactions="user_id,item_id,label\n01,i1,1\n1,i1,0\n",
        users="user_id,gender\n01,f\n1,\n",
        items='item_id,tags\ni1,"a,b"\n',
    )
    data = read_data(config, USER, ITEM)
    assert data.users.ids == ["01", "1"]
    assert data.interactions.user.tolist() == [0, 1]
    assert data.interactions.label.tolist() == [1, 0]
    assert data.items.records == [{"tags": ["a", "b"]}]


@pytest.mark.parametrize(
    ("column", "values", "row", "got", "expected"),
    [
        ("label", [1, 0, 2], 3, "2", "0 or 1"),
        ("label", [1.0, 0.5, 1.0], 2, "0.5", "0 or 1"),
        ("label", [1.0, float("nan"), 1.0], 2, "nan", "0 or 1"),
        ("label", [1, None, 1], 2, "None", "0 or 1"),
        ("label", ["1", "yes", "0"], 2, "'yes'", "0 or 1"),
        ("label", ["1", "", "0"], 2, "''", "0 or 1"),
        ("weight", [1.0, -0.5, 1.0], 2, "-0.5", "a finite weight of at least 0"),
        ("weight", [1.0, 1.0, float("inf")], 3, "inf", "a finite weight of at least 0"),
        ("weight", [None, 1.0, 1.0], 1, "None", "a finite weight of at least 0"),
        ("order", [1.0, 2.5, 3.0], 2, "2.5", "a whole number"),
        ("order", [1, 2, None], 3, "None", "a whole number"),
        ("order", ["1", "2", "last"], 3, "'last'", "a whole number"),
        ("timestamp", [1.0, None, 3.0], 2, "None", "seconds as a number"),
        ("timestamp", [1.0, 2.0, float("inf")], 3, "inf", "seconds as a number"),
        ("timestamp", ["2024-01-01", "soon", "3"], 2, "'soon'", "a date and time"),
        ("timestamp", ["1", "", "3"], 2, "''", "seconds as a number"),
        ("timestamp", [1.7e12, 1.0, 2.0], 1, "1700000000000.0", "are these milliseconds"),
    ],
)
def test_a_bad_cell_names_file_column_row_and_what_came(
    tmp_path: Path, column: str, values: list[Any], row: int, got: str, expected: str
) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, rows(**{column: values}))
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "interactions.parquet"))
    assert f"column {column!r}, row {row}: got {got}" in message
    assert expected in message


def test_a_column_of_the_wrong_type_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"interactions\.parquet: column 'label'.*expected 0 or 1"):
        read(tmp_path, rows(label=[[1], [0], [1]]))


def test_labels_may_be_truth_values_or_text(tmp_path: Path) -> None:
    for labels in (
        [True, False, True],
        ["1", " 0", "1"],
        pa.array(["1", "0", "1"]).dictionary_encode(),
    ):
        found = read(tmp_path, rows(label=labels)).interactions
        assert found.label.tolist() == [1, 0, 1]


MOMENT = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([-1.5, 0.0, 2.25], [-1.5, 0.0, 2.25]),
        (["1", "2.5", "1e3"], [1, 2.5, 1000]),
        ([NOON.replace(tzinfo=None)] * 3, [NOON.timestamp()] * 3),
        ([NOON, MOMENT, NOON], [NOON.timestamp(), MOMENT.timestamp(), NOON.timestamp()]),
        (
            pa.array([1_500_000_001, 1, 2], pa.timestamp("ns")),
            [1.5, 0, 0],
        ),
        (
            pa.array([1_500, 1, 2], pa.timestamp("ms", "Europe/Vienna")),
            [1.5, 0.001, 0.002],
        ),
        ([date(1970, 1, 2), date(1970, 1, 1), date(1970, 1, 3)], [86400, 0, 172800]),
        (
            ["2024-01-01T12:00:00", "2024-01-01 12:00:00.5", "2024-01-01"],
            [NOON.timestamp(), NOON.timestamp() + 0.5, NOON.timestamp() - 43200],
        ),
        (
            ["2024-01-01T12:00:00Z", "2024-01-01T14:00:00+02:00"] + ["1970-01-01T00:00:00Z"],
            [NOON.timestamp(), NOON.timestamp(), 0],
        ),
    ],
    ids=["ints", "floats", "text", "naive", "utc", "ns", "zone", "dates", "iso", "offsets"],
)
def test_timestamps_become_seconds(tmp_path: Path, values: Any, seconds: list[float]) -> None:
    found = read(tmp_path, rows(timestamp=values)).interactions.timestamp
    assert found is not None
    assert found.dtype == np.float64
    assert found.tolist() == seconds


def test_csv_times_may_be_numbers_or_iso_text(tmp_path: Path) -> None:
    tables = {"users": "user_id,gender\nu1,f\n", "items": "item_id,tags\ni1,a\n"}
    for times, seconds in (("5,7.5", [5, 7.5]), ("1970-01-01T00:00:05,1970-01-02", [5, 86400])):
        first, second = times.split(",")
        text = f"user_id,item_id,timestamp\nu1,i1,{first}\nu1,i1,{second}\n"
        config = write_csv(tmp_path, interactions=text, **tables)
        found = read_data(config, USER, ITEM).interactions.timestamp
        assert found is not None
        assert found.tolist() == seconds


def test_orders_beyond_floats_stay_exact(tmp_path: Path) -> None:
    orders = [2**60 + 1, 2**60, 2**60 + 2]
    found = read(tmp_path, rows(order=orders)).interactions.order
    assert found is not None
    assert found.tolist() == orders


def test_other_columns_come_as_they_are(tmp_path: Path) -> None:
    data = read(
        tmp_path,
        rows(
            tab=["a", None, "b"],
            n=[1, 2, 3],
            holes=[1, None, 3],
            x=[0.5, None, 1.5],
            flag=[True] * 3,
        ),
    )
    columns = data.interactions.columns
    assert columns["tab"].tolist() == ["a", None, "b"]
    assert columns["n"].dtype == np.int64
    assert columns["holes"].tolist() == [1, None, 3]
    assert np.isnan(columns["x"][1])
    assert columns["flag"].tolist() == [True] * 3


CARRYING = Side.model_validate(
    {
        "content": {"gender": {"kind": "category"}},
        "context": {"tab": {"kind": "category"}, "hour": {"kind": "number"}},
        "preference": {"seen": {"kind": "sequence"}},
    }
)


def test_context_and_given_preference_are_parsed_by_row(tmp_path: Path) -> None:
    table = rows(tab=[1, None, 2], hour=["7", "", "8"], seen=[["i1"], None, []], gender=["x"] * 3)
    data = read(tmp_path, table, user=CARRYING)
    carried = data.interactions.carried["user"]
    every = np.arange(3)
    assert carried["tab"].at(every) == ["1", None, "2"]
    assert carried["hour"].at(every) == [7.0, None, 8.0]
    assert carried["seen"].at(every[::-1]) == [[], None, ["i1"]]
    assert "gender" not in carried, "content stands in the table of its side"
    assert data.interactions.carried["item"] == {}


@pytest.mark.parametrize(
    ("column", "values", "row", "expected"),
    [
        ("hour", ["7", "x", "8"], 2, "a finite number"),
        ("tab", ["a", "b", "c\x1fd"], 3, "without the reserved character"),
        ("seen", [["i1"], [""], None], 2, "a list of non-empty words"),
    ],
)
def test_a_bad_carried_cell_names_its_row(
    tmp_path: Path, column: str, values: list[Any], row: int, expected: str
) -> None:
    table = rows(tab=["a", "b", "c"], hour=[1, 2, 3], seen=[None] * 3) | {column: values}
    with pytest.raises(DataError, match=rf"column '{column}', row {row}: got .*{expected}"):
        read(tmp_path, table, user=CARRYING)


def test_context_is_never_read_from_the_users(tmp_path: Path) -> None:
    config = write(
        tmp_path,
        interactions=rows(tab=["a", "b", "c"]),
        users=USERS | {"tab": ["x", "y"]},
        items=ITEMS,
    )
    side = Side.model_validate({"context": {"tab": {"kind": "category"}}})
    data = read_data(config, side, ITEM)
    assert data.users.records == [{}, {}]


@pytest.mark.parametrize(
    ("side", "told"),
    [
        (
            {"content": {"gendr": {"kind": "category"}}},
            r"users\.parquet: no column 'gendr'.*gender",
        ),
        ({"context": {"tab": {"kind": "category"}}}, r"context\.tab: interactions have no such"),
        ({"preference": {"x": {"kind": "number"}}}, r"users\.parquet: no column 'x'"),
    ],
)
def test_a_feature_without_a_column_is_refused(
    tmp_path: Path, side: dict[str, Any], told: str
) -> None:
    with pytest.raises(DataError, match=told):
        read(tmp_path, rows(), user=Side.model_validate(side))


def test_a_carried_column_of_both_sides_is_refused(tmp_path: Path) -> None:
    side = Side.model_validate({"preference": {"x": {"kind": "number"}}})
    with pytest.raises(DataError, match="column 'x' could be of user or item"):
        read(tmp_path, rows(x=[1, 2, 3]), user=side, item=side)


@pytest.mark.parametrize("missing", ["user_id", "item_id"])
def test_a_missing_id_column_is_named_with_those_there_are(tmp_path: Path, missing: str) -> None:
    table = rows(label=[1, 1, 0])
    del table[missing]
    with pytest.raises(DataError, match=rf"no column '{missing}'; the columns are .*label"):
        read(tmp_path, table)


@pytest.mark.parametrize(
    ("ids", "told"), [(["u1", None, "u2"], "None"), (["u1", "u\n1", "u2"], "u")]
)
def test_a_bad_id_names_its_row(tmp_path: Path, ids: list[Any], told: str) -> None:
    with pytest.raises(DataError, match=rf"column 'user_id', row 2: got .*{told}.*expected an id"):
        read(tmp_path, rows() | {"user_id": ids})


def test_ids_that_are_numbers_with_a_point_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="column 'user_id': got type double"):
        read(tmp_path, rows() | {"user_id": [1.0, 2.0, 3.0]})


def test_a_user_listed_twice_is_refused_with_both_rows(tmp_path: Path) -> None:
    users = {"user_id": ["u1", "u2", "u1"], "gender": ["f", "m", "f"]}
    config = write(tmp_path, interactions=rows(), users=users, items=ITEMS)
    with pytest.raises(DataError, match="'u1' stands in row 1 and again in row 3"):
        read_data(config, USER, ITEM)


def test_an_empty_table_leaves_no_row(tmp_path: Path) -> None:
    empty = {"user_id": pa.array([], pa.string()), "item_id": pa.array([], pa.string())}
    with pytest.raises(DataError, match=r"interactions\.parquet: no row is left of 0"):
        read(tmp_path, empty)


@pytest.mark.parametrize("name", ["interactions", "users", "items"])
@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_an_unreadable_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    config = write(tmp_path, interactions=rows(), users=USERS, items=ITEMS)
    (tmp_path / f"{name}.parquet").write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}\.parquet: "):
        read_data(config, USER, ITEM)


def test_an_empty_csv_is_named(tmp_path: Path) -> None:
    config = write_csv(tmp_path, interactions="", users="user_id\nu1\n", items="item_id\ni1\n")
    with pytest.raises(DataError, match=r"interactions\.csv: "):
        read_data(config, Side(), Side())


@pytest.mark.parametrize("name", ["interactions", "users", "items"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write(tmp_path, interactions=rows(), users=USERS, items=ITEMS)
    config = DataConfig(folder=tmp_path, **{name: "none.parquet"})
    with pytest.raises(DataError, match=r"none\.parquet: no such file"):
        read_data(config, USER, ITEM)


LOOKS = {"kind": "vector", "file": "looks.parquet"}


def with_looks(folder: Path, **tables: Any) -> Data:
    """Read items whose looks lie in a file beside the tables."""
    looks = {"item_id": ["i3", "elsewhere", "i1"], "vector": [[1.0, 2.0], [9.0, 9.0], [0.5, 4.0]]}
    config = write(
        folder,
        **({"interactions": rows(), "users": USERS, "items": ITEMS, "looks": looks} | tables),
    )
    return read_data(config, USER, Side.model_validate({"preference": {"looks": LOOKS}}))


def test_a_vector_may_come_from_a_file_of_ids_and_vectors(tmp_path: Path) -> None:
    records = with_looks(tmp_path).items.records
    looks = [np.array(record.get("looks", [])).tolist() for record in records]
    assert looks == [[0.5, 4.0], [], [1.0, 2.0]]


@pytest.mark.parametrize(
    "twice",
    [
        {"items": ITEMS | {"looks": [[1.0, 2.0]] * 3}},
        {"interactions": rows(looks=[[1.0, 2.0]] * 3)},
    ],
    ids=["items", "interactions"],
)
def test_a_vector_of_a_column_and_a_file_is_refused(tmp_path: Path, twice: Any) -> None:
    with pytest.raises(DataError, match=r"looks: got a column and the file 'looks\.parquet'"):
        with_looks(tmp_path, **twice)


def test_vectors_of_another_length_than_the_features_are_refused(tmp_path: Path) -> None:
    config = write(
        tmp_path,
        interactions=rows(),
        users=USERS,
        items=ITEMS,
        looks={"item_id": ["i1"], "vector": [[1.0, 2.0]]},
    )
    side = Side.model_validate({"preference": {"looks": LOOKS | {"size": 3}}})
    with pytest.raises(DataError, match=r"feature 'looks': expected a list of 3 .* has 2"):
        read_data(config, USER, side)


def test_a_file_of_vectors_that_is_not_there_is_named(tmp_path: Path) -> None:
    config = write(tmp_path, interactions=rows(), users=USERS, items=ITEMS)
    with pytest.raises(DataError, match=r"looks\.parquet: no such file"):
        read_data(config, USER, Side.model_validate({"preference": {"looks": LOOKS}}))
