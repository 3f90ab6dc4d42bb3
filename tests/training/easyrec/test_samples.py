from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from export.contract.errors import DataError
from tests.training.easyrec.made import COLUMNS, easyrec, plan_of
from training.easyrec.plan import Plan
from training.easyrec.samples import read_samples, write_tables

ROW = {
    "clk": "1",
    "buyer": "01",
    "ad": "a1",
    "age": "3",
    "city": "c0",
    "seen": "a1|a2",
    "topics": "t1|t2",
    "topic_scores": "0.5|2",
    "look": "0.1|0.2|0.3",
    "price": "2.5",
    "clicks": "4",
}


def parted(
    rows: list[dict[str, str]], folder: Path, text: str | None = None
) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    """Return the three tables of some samples, and what is told of them."""
    plan = plan_of(easyrec() if text is None else text, folder)
    path = folder / "samples.txt"
    names = plan.dataset.columns
    cells = [{**ROW, **row} for row in rows]
    path.write_text("".join("\t".join(one[n] for n in names) + "\n" for one in cells), "utf-8")
    told = write_tables(read_samples(path, plan.dataset), plan, folder / "data")
    tables = ("interactions", "users", "items")
    return {n: pq.read_table(folder / "data" / f"{n}.parquet").to_pylist() for n in tables}, told


def test_samples_become_three_tables(tmp_path: Path) -> None:
    found, told = parted([{}, {"buyer": "02", "clk": "0", "seen": ""}], tmp_path)
    assert told == []
    assert found["interactions"] == [
        {"user_id": "01", "item_id": "a1", "label": "1", "seen": "a1|a2", "clicks": "4"},
        {"user_id": "02", "item_id": "a1", "label": "0", "seen": "", "clicks": "4"},
    ]
    assert found["users"] == [
        {"user_id": "01", "age": "3", "city": "c0", "seen": "a1|a2"},
        {"user_id": "02", "age": "3", "city": "c0", "seen": ""},
    ]
    assert found["items"] == [
        {
            "item_id": "a1",
            "topics": "t1:0.5|t2:2.0",
            "look": "0.1 0.2 0.3",
            "price": "2.5",
            "clicks": "4",
        }
    ]


def test_preference_stands_on_the_rows_as_it_was_then(tmp_path: Path) -> None:
    found, told = parted([{"clicks": "1"}, {"clicks": "2"}], tmp_path)
    assert [row["clicks"] for row in found["interactions"]] == ["1", "2"]
    assert [row["clicks"] for row in found["items"]] == ["2"]
    assert told == []


def test_content_that_changes_is_told_and_the_last_is_kept(tmp_path: Path) -> None:
    found, told = parted([{"age": "3"}, {"age": "5"}, {"age": "4"}, {"buyer": "b"}], tmp_path)
    assert [row["age"] for row in found["users"]] == ["4", "3"]
    (line,) = told
    assert line.startswith("user.content.age: several values for 1 of 2 users")


def test_the_last_goes_by_time_where_there_is_one(tmp_path: Path) -> None:
    text = easyrec().replace("input_name: 'price'", "input_name: 'timestamp'")
    text = text.replace(", 'price'", "").replace("names: 'price'", "names: 'look'")
    text = text.replace("feature_type: RawFeature boundaries", "feature_name: 'x' boundaries")
    plan = plan_of(text, tmp_path)
    assert plan.split["kind"] == "by_time"
    rows = [{"timestamp": "9", "age": "9"}, {"timestamp": "10", "age": "10"}]
    found, _ = parted([*rows, {"timestamp": "2", "age": "2"}], tmp_path, text)
    assert [row["timestamp"] for row in found["interactions"]] == ["2", "9", "10"]
    assert [row["age"] for row in found["users"]] == ["10"]


def test_a_weight_is_the_rows_weight(tmp_path: Path) -> None:
    found, _ = parted([{"price": "2"}], tmp_path, easyrec(data="sample_weight: 'price'"))
    assert found["interactions"][0]["weight"] == "2"


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("t1=0.5|t2=2", "t1:0.5|t2:2.0"),
        ("t1=1|t1=2", "t1:3.0"),
        ("a=b=1", "a=b:1.0"),
        ("t1=0|t2=1", "t2:1.0"),
        ("", ""),
    ],
)
def test_weights_follow_a_colon(cell: str, written: str, tmp_path: Path) -> None:
    text = easyrec().replace("input_names: 'topic_scores'", "kv_separator: '='")
    found, _ = parted([{"topics": cell}], tmp_path, text)
    assert found["items"][0]["topics"] == written


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"topic_scores": "1"}, "row 1: 'topics' has 2 words and 'topic_scores' 1 weights"),
        ({"topic_scores": "1|x"}, "column 'topic_scores': got 'x', expected a weight"),
    ],
)
def test_weights_that_are_none_are_refused(row: dict[str, str], told: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"samples\.txt") as error:
        parted([row], tmp_path)
    assert told in str(error.value)


def read(text: str, folder: Path, data: str) -> Plan:
    plan = plan_of(easyrec().replace("separator: '\\t'", data), folder)
    path = folder / "samples.csv"
    path.write_text(text, "utf-8")
    found = read_samples(path, plan.dataset)
    assert found.table.column("city").to_pylist() == ["c,0"]
    assert found.table.column_names == list(COLUMNS)
    return plan


def test_a_header_may_have_any_order(tmp_path: Path) -> None:
    row = {**dict(reversed(ROW.items())), "city": "c,0", "more": "x"}
    read(
        ";".join(row) + "\n" + ";".join(row.values()), tmp_path, "separator: ';' with_header: true"
    )


def test_quotes_are_read_where_easyrec_reads_them(tmp_path: Path) -> None:
    row = {**ROW, "city": '"c,0"'}
    plan = plan_of(easyrec().replace("CSVInput", "CSVInputEx"), tmp_path)
    assert plan.dataset.is_quoted
    path = tmp_path / "samples.csv"
    path.write_text("\t".join(row.values()), "utf-8")
    assert read_samples(path, plan.dataset).table.column("city").to_pylist() == ["c,0"]
    plain = plan_of(easyrec(), tmp_path)
    assert read_samples(path, plain.dataset).table.column("city").to_pylist() == ['"c,0"']


def test_a_binary_separator_is_read(tmp_path: Path) -> None:
    row = {**ROW, "city": "c,0"}
    read("\x01".join(row.values()), tmp_path, "separator: '\\001'")


def test_parquet_is_read_whatever_its_types(tmp_path: Path) -> None:
    table: dict[str, Any] = {name: [value] for name, value in ROW.items()}
    path = tmp_path / "samples.parquet"
    pq.write_table(pa.table({**table, "clk": [1], "price": [None], "other": [3]}), path)
    found = read_samples(path, plan_of(easyrec(), tmp_path).dataset)
    assert found.table.to_pylist() == [{**ROW, "price": ""}]


@pytest.mark.parametrize(
    ("data", "text", "told"),
    [
        ("separator: ','", "a,b\n", "samples.csv: CSV parse error"),
        ("with_header: true", "clk,buyer\n1,2\n", "no column 'ad'; the columns are clk, buyer"),
        ("separator: '||'", "a\n", "data_config.separator: got '||', expected one character"),
    ],
)
def test_samples_of_another_shape_are_refused(
    data: str, text: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as error:
        read(text, tmp_path, data)
    assert told in str(error.value)
