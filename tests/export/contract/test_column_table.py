"""What columns say of a table is what its records say: the same arrays, and the same faults."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from export.contract.column_stream import stream_columns
from export.contract.column_table import columns_of, columns_of_records
from export.contract.errors import DataError
from export.contract.features import KINDS, MISSING_TOKEN
from export.contract.features.column import Column, Parsed, Tokens, distinct
from export.contract.side import Side
from export.contract.tables import read_records

SIDE = Side.model_validate(
    {
        "content": {
            "maker": {"kind": "category"},
            "shop": {"kind": "category", "vocabulary": "hashed", "buckets": 7},
            "place": {"kind": "cross", "of": ["maker", "shop"]},
            "price": {"kind": "number", "mean": 0.0, "scale": 1.0},
            "tags": {"kind": "tags", "max_length": 2},
            "codes": {"kind": "tags", "vocabulary": "hashed", "buckets": 5},
            "title": {"kind": "text", "max_length": 3},
            "photo": {"kind": "vector", "size": 2},
        },
        "preference": {
            "recent": {"kind": "sequence", "max_length": 2},
            "taste": {"kind": "tags", "weights": True, "max_length": 2},
            "clicks": {"kind": "number", "aggregate": "count", "standardise": False},
            "image": {"kind": "vector", "size": 2},
        },
        "present_when": "interactions >= 2",
    }
)

GOOD = ["a", "b", "C", "30", " d e", "日本語の a", "x,y,x", "é"]
BAD = ["", " ", "\x1f", "a:2,b:1", "a:-1", "1.5,2", "nan", "inf", None]
NUMBERS: list[float | None] = [0.0, 1.0, 2.0, -1.5, 3e38, 1e-40]
NOT_FINITE = [float("nan"), float("inf"), 1e39, None]


def cells(kind: pa.DataType, is_good: bool) -> st.SearchStrategy[Any]:
    """Return a strategy for cells of a type: such as most kinds can read, or others among them."""
    if pa.types.is_dictionary(kind):
        return cells(kind.value_type, is_good)
    if pa.types.is_map(kind):
        words, numbers = cells(kind.key_type, True), cells(kind.item_type, is_good)
        pairs = st.tuples(words, numbers)
        once = st.lists(pairs, max_size=4, unique_by=lambda pair: pair[0])
        return once if is_good else st.lists(pairs, max_size=4)
    if pa.types.is_fixed_size_list(kind):
        return st.lists(cells(kind.value_type, is_good), min_size=2, max_size=2)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return st.lists(cells(kind.value_type, is_good), max_size=4)
    if pa.types.is_floating(kind):
        return st.sampled_from(NUMBERS if is_good else NUMBERS + NOT_FINITE)
    if pa.types.is_boolean(kind):
        return st.booleans()
    if pa.types.is_null(kind):
        return st.none()
    if pa.types.is_integer(kind):
        return st.integers(0, 3) | st.just(2**53 + 1 if kind.bit_width == 64 else 200)
    return st.sampled_from(GOOD if is_good else GOOD + BAD)


TEXTS = [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]
WORDS = [*TEXTS, pa.int64(), pa.uint8(), pa.bool_()]
LISTS = [pa.list_(pa.string()), pa.large_list(pa.string()), pa.list_(pa.int64())]
MAPS = [pa.map_(pa.string(), pa.float64()), pa.map_(pa.string(), pa.int64())]
FLOATS = [pa.float64(), pa.float32()]
ROWS = [pa.list_(pa.float32()), pa.list_(pa.float64(), 2), pa.list_(pa.int64())]
ANY = [*WORDS, *LISTS, *MAPS, *FLOATS, *ROWS, pa.null(), pa.list_(pa.bool_())]
FITTING: dict[str, list[pa.DataType]] = {
    "category": WORDS,
    "cross": [pa.null()],
    "number": [*FLOATS, pa.int64(), pa.string()],
    "tags": [*LISTS, *MAPS, pa.string()],
    "sequence": [*LISTS, pa.string()],
    "text": TEXTS,
    "vector": ROWS,
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Return a table of a few rows with some of the features, mostly of a type that fits."""
    rows, is_good = draw(st.integers(0, 7)), draw(st.booleans())
    names = draw(st.lists(st.sampled_from(list(SIDE.features)), max_size=4, unique=True))
    columns: dict[str, pa.Array] = {"item_id": pa.array([f"i{n}" for n in range(rows)])}
    for name in names:
        kinds = FITTING[SIDE.features[name].kind] if draw(st.integers(0, 5)) else ANY
        kind = draw(st.sampled_from(kinds))
        column = st.none() | cells(kind, is_good)
        values = draw(st.lists(column, min_size=rows, max_size=rows))
        columns[name] = pa.array(values, kind)
    return pa.table(columns)


def by_records(path: Path, rows: int) -> list[dict[str, Any]]:
    """Return the arrays that records of the file become, so many at a time."""
    records = read_records(path, SIDE, "item_id").records
    parts = [records[start : start + rows] for start in range(0, len(records), rows)]
    return [SIDE.pack(part, [SIDE.has_preference(one) for one in part]) for part in parts]


def by_columns(path: Path, rows: int, read: int = 100) -> list[dict[str, Any]]:
    """Return the same by columns, of which so many rows are read at a time."""
    packed = []
    for table in stream_columns(path, SIDE, "item_id", read):
        present = SIDE.have_preference(table.columns)
        for start in range(0, len(table), rows):
            part = slice(start, start + rows)
            packed.append(SIDE.pack_columns(table.columns, present, part))
    return packed


def by_columns_of_records(path: Path, rows: int) -> list[dict[str, Any]]:
    """Return the same by columns that are made of the records again."""
    records = read_records(path, SIDE, "item_id").records
    columns = columns_of_records(records, SIDE)
    parts = [slice(start, start + rows) for start in range(0, len(records), rows)]
    return [SIDE.pack_columns(columns, SIDE.have_preference(columns), part) for part in parts]


def outcome(packed: Any, *asked: Any) -> tuple[list[dict[str, Any]], str]:
    try:
        return packed(*asked), ""
    except DataError as error:
        return [], str(error)


def one_column(name: str, values: list[Any], kind: pa.DataType) -> pa.Table:
    return pa.table(
        {"item_id": [f"i{n}" for n in range(len(values))], name: pa.array(values, kind)}
    )


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tables(), st.integers(1, 3))
@example(one_column("tags", [["a", "b", "a"], ["a", "a", "b"], None, []], LISTS[0]), 2)
@example(one_column("tags", [["a"], ["a", "b", ""]], LISTS[0]), 2)  # a fault beyond what counts
@example(one_column("taste", [[("a", 1.0), ("a", 2.0)]], MAPS[0]), 1)
@example(one_column("taste", [None, [("a", 3e38)], [("b", 1.0)]], MAPS[0]), 1)
@example(one_column("photo", [[1.0, float("nan")]], ROWS[0]), 1)
@example(one_column("clicks", [0.0, 1.0, 2.0, None], FLOATS[0]), 3)
def test_columns_and_records_of_a_table_are_packed_alike_and_fail_alike(
    tmp_path: Path, table: pa.Table, rows: int
) -> None:
    path = tmp_path / "items.parquet"
    # Of words that a file holds in a dictionary, no part crosses a row group.
    pyarrow.parquet.write_table(table, path, row_group_size=2 * rows)
    (expected, fault), (found, same) = (outcome(f, path, rows) for f in (by_records, by_columns))
    assert same == fault
    in_parts, _ = outcome(by_columns, path, rows, 2 * rows)
    of_records = [] if fault else by_columns_of_records(path, rows)
    made = [*found, *in_parts, *of_records]
    for ours, theirs in zip(made, [*expected, *expected, *expected], strict=True):
        assert list(ours) == list(theirs)
        for name, array in theirs.items():
            assert (ours[name].dtype, ours[name].shape) == (array.dtype, array.shape)
            np.testing.assert_array_equal(ours[name], array)  # NaN where NaN is


def test_a_word_that_only_the_dictionary_of_a_column_holds_is_nobodys_fault() -> None:
    words = pa.DictionaryArray.from_arrays(pa.array([2, None, 0, 2]), pa.array(["a", "\x1f", "a"]))
    cells, code = distinct(pa.chunked_array([words]))
    assert [cells[place] for place in code] == ["a", None, "a", "a"]
    assert sorted(cells, key=str) == [None, "a"]


def column(name: str, values: list[Any], kind: pa.DataType) -> Column:
    return columns_of(one_column(name, values, kind), Path("x"), SIDE, "item_id").columns[name]


QUICK: dict[str, tuple[list[Any], pa.DataType]] = {
    "maker": (["a", None, "b"], pa.string()),
    "price": ([1.0, None, float("nan")], pa.float32()),
    "tags": ([["a"], None, []], pa.list_(pa.string())),
    "taste": ([[("a", 1.0)], None, []], pa.map_(pa.string(), pa.float64())),
    "recent": ([["a", "b", "c"], None], pa.list_(pa.string())),
    "title": (["A title", None], pa.string()),
    "photo": ([[1.0, 2.0], None], pa.list_(pa.float64())),
}


@pytest.mark.parametrize("name", QUICK)
def test_a_column_of_the_usual_type_is_not_read_cell_by_cell(name: str) -> None:
    found = column(name, *QUICK[name])
    assert not isinstance(found, Parsed) or isinstance(found, Tokens)


def test_every_kind_that_is_given_has_its_usual_column_tried() -> None:
    tried = {type(SIDE.features[name]) for name in QUICK}
    assert tried == {kind for kind in KINDS if SIDE.of_kind(kind).keys() & SIDE.given.keys()}


def test_an_empty_text_is_known_in_a_record_if_not_in_a_table() -> None:
    columns = columns_of_records([{"title": ""}, {"title": "a b"}, {}], SIDE)
    assert columns["title"].known.tolist() == [True, True, False]
    packed = SIDE.pack_columns(columns, np.zeros(3, dtype=bool), slice(0, 3))
    assert packed["title"].tolist() == [[""], ["a b"], [MISSING_TOKEN]]


def test_ids_and_other_columns_are_kept(tmp_path: Path) -> None:
    table = pa.table({"note": ["x"], "maker": ["m"], "item_id": [7]})
    found = columns_of(table, Path("x"), SIDE, "item_id")
    assert found.ids.to_pylist() == ["7"]
    assert (found.features, found.others) == (("maker",), ("note",))
    assert set(found.columns) == set(SIDE.given)
