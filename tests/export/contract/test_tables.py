"""Tables of records: ids stay text, faults name their place, and writing is read back."""

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from export.contract.errors import DataError
from export.contract.side import Side
from export.contract.tables import (
    id_fault,
    read_as_of,
    read_ids,
    read_records,
    read_table,
    unique_ids,
    write_as_of,
    write_records,
)
from tests.floats import floats

SIDE = Side.model_validate(
    {
        "content": {
            "tags": {"kind": "tags"},
            "maker": {"kind": "category"},
            "about": {"kind": "text"},
            "price": {"kind": "number"},
        },
        "preference": {
            "recent": {"kind": "sequence"},
            "taste": {"kind": "tags", "weights": True},
            "photo": {"kind": "vector", "size": 2},
        },
    }
)

WORD = st.text(min_size=1, max_size=6).filter(lambda word: "\x1f" not in word)
RECORD = st.fixed_dictionaries(
    {},
    optional={
        "tags": st.lists(WORD, unique=True, max_size=4),
        "maker": WORD,
        "about": WORD,
        "price": st.floats(-1e30, 1e30),
        "recent": st.lists(WORD, max_size=4),
        "taste": st.dictionaries(WORD, st.floats(1e-9, 1e9), max_size=4),
        "photo": st.builds(floats, *[st.floats(-4, 4, width=32)] * 2),
    },
)


def csv(folder: Path, text: str) -> Path:
    path = folder / "items.csv"
    path.write_bytes(text.encode())
    return path


def parquet(folder: Path, **columns: Any) -> Path:
    path = folder / "items.parquet"
    pyarrow.parquet.write_table(pa.table(columns), path)
    return path


def fault_of(path: Path, side: Side = SIDE) -> str:
    with pytest.raises(DataError) as error:
        read_records(path, side, "item_id")
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


class TestIds:
    def test_csv_ids_are_text(self, tmp_path: Path) -> None:
        path = csv(tmp_path, "item_id\n01\n1\n1.0\n1e3\nNA\nnull\nnan\ntrue\n é \n")
        ids = ["01", "1", "1.0", "1e3", "NA", "null", "nan", "true", " é "]
        assert read_records(path, SIDE, "item_id").ids == ids

    @pytest.mark.parametrize("kind", [pa.int8(), pa.int64(), pa.uint64()])
    def test_whole_numbers_are_written_out(self, tmp_path: Path, kind: pa.DataType) -> None:
        path = parquet(tmp_path, item_id=pa.array([7, 100], kind))
        assert read_records(path, SIDE, "item_id").ids == ["7", "100"]

    @pytest.mark.parametrize(
        "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]
    )
    def test_text_of_any_storage_is_read(self, tmp_path: Path, kind: pa.DataType) -> None:
        path = parquet(tmp_path, item_id=pa.array(["b", "a"]).cast(kind))
        assert read_records(path, SIDE, "item_id").ids == ["b", "a"]

    @pytest.mark.parametrize("values", [[1, None, 3], ["a", None]])
    def test_null_id_is_a_fault_of_its_row(self, tmp_path: Path, values: list[Any]) -> None:
        path = parquet(tmp_path, item_id=values)
        assert fault_of(path).startswith("column 'item_id', row 2: got None, expected an id")

    @pytest.mark.parametrize("values", [[1.0, 2.0], [b"a"], [True], [["a"]], [date(2020, 1, 1)]])
    def test_column_of_another_type_is_refused(self, tmp_path: Path, values: list[Any]) -> None:
        message = fault_of(parquet(tmp_path, item_id=values))
        assert message.startswith("column 'item_id': got type ")
        assert message.endswith("expected text or whole numbers")

    def test_missing_column_is_named_beside_those_there_are(self, tmp_path: Path) -> None:
        message = fault_of(parquet(tmp_path, id=["a"], maker=["m"]))
        assert message == "no column 'item_id'; the columns are id, maker"

    def test_repeated_id_names_both_rows(self, tmp_path: Path) -> None:
        message = fault_of(parquet(tmp_path, item_id=["a", "b", "c", "b"]))
        assert message == "column 'item_id': id 'b' stands in row 2 and again in row 4"

    def test_positions_are_those_of_the_rows(self) -> None:
        assert unique_ids(["b", "a"], "id", Path("x")) == {"b": 0, "a": 1}

    @pytest.mark.parametrize("one", ["", "a\n", "\x00", "\x7f", "a\x9fb", "é" * 129, "\ud800", 7])
    def test_no_id(self, one: object) -> None:
        assert id_fault(one)

    @pytest.mark.parametrize("one", ["a", " ", "é" * 128, "a/b", "日本", "\xa0"])
    def test_id(self, one: str) -> None:
        assert id_fault(one) is None

    @given(st.lists(st.text(st.characters(max_codepoint=0x200, codec="utf-8"), max_size=3)))
    def test_column_and_single_id_are_judged_alike(self, ids: list[str]) -> None:
        bad = [row for row, one in enumerate(ids, start=1) if id_fault(one)]
        table = pa.table({"id": pa.array(ids, pa.string())})
        if bad:
            with pytest.raises(DataError, match=f"row {bad[0]}:"):
                read_ids(table, "id", Path("x"))
        else:
            assert read_ids(table, "id", Path("x")) == ids


class TestCsv:
    def test_lists_weights_and_numbers_are_read_from_text(self, tmp_path: Path) -> None:
        path = csv(
            tmp_path,
            'item_id,tags,maker,price,recent,taste\n1,"a, b",m,2.5,"x,y,x","a:2,b:0.5"\n2,,,,,\n',
        )
        table = read_records(path, SIDE, "item_id")
        assert table.records == [
            {
                "tags": ["a", "b"],
                "maker": "m",
                "price": 2.5,
                "recent": ["x", "y", "x"],
                "taste": {"a": 2.0, "b": 0.5},
            },
            {},
        ]

    def test_newline_in_quotes_belongs_to_the_value(self, tmp_path: Path) -> None:
        path = csv(tmp_path, 'item_id,title,maker\n1,"two\nlines",m\n2,x,n\n')
        table = read_records(path, SIDE, "item_id")
        assert table.ids == ["1", "2"]
        assert table.extras.column("title").to_pylist() == ["two\nlines", "x"]

    def test_byte_order_mark_is_no_part_of_the_header(self, tmp_path: Path) -> None:
        assert read_records(csv(tmp_path, "\ufeffitem_id\na\n"), SIDE, "item_id").ids == ["a"]

    def test_header_alone_is_an_empty_table(self, tmp_path: Path) -> None:
        table = read_records(csv(tmp_path, "item_id,price\n"), SIDE, "item_id")
        assert (len(table), table.features) == (0, ("price",))

    def test_column_twice_is_refused(self, tmp_path: Path) -> None:
        assert fault_of(csv(tmp_path, "item_id,a,a\n1,2,3\n")) == "column 'a' stands twice"

    @pytest.mark.parametrize("text", ["", "item_id,a\n1\n", "item_id\n\xff\n"])
    def test_broken_file_is_refused(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "items.csv"
        path.write_bytes(text.encode("latin-1"))
        fault_of(path)


class TestRecords:
    @pytest.mark.parametrize(
        ("column", "cell", "got", "expected"),
        [
            ("price", "cheap", "'cheap'", "a finite number or null"),
            ("price", "inf", "'inf'", "a finite number or null"),
            ("taste", "a", "'a'", "words and weights like 'a:2,b:1'"),
            ("maker", "\x1f", "'\\x1f'", "U+001F"),
        ],
    )
    def test_bad_cell_names_file_column_row_and_what_is_right(
        self, tmp_path: Path, column: str, cell: str, got: str, expected: str
    ) -> None:
        message = fault_of(csv(tmp_path, f"item_id,{column}\n1,\n2,{cell}\n3,{cell}\n"))
        assert message.startswith(f"column {column!r}, row 2: got {got}, expected ")
        assert expected in message

    @pytest.mark.parametrize(
        ("column", "values"),
        [
            ("maker", pa.array([1.0, None])),
            ("price", pa.array([True])),
            ("price", pa.array([float("inf")])),
            ("tags", pa.array([["a", None]])),
            ("tags", pa.array([[1.5]])),
            ("taste", pa.array([["a"]])),
            ("taste", pa.array([[("a", -1.0)]], pa.map_(pa.string(), pa.float64()))),
            ("recent", pa.array([3])),
        ],
    )
    def test_column_of_a_wrong_type_is_refused(
        self, tmp_path: Path, column: str, values: pa.Array
    ) -> None:
        path = parquet(tmp_path, item_id=[f"i{n}" for n in range(len(values))], **{column: values})
        assert fault_of(path).startswith(f"column {column!r}, row 1: got ")

    def test_whole_numbers_and_booleans_are_words_and_null_is_missing(self, tmp_path: Path) -> None:
        side = Side.model_validate({"content": {n: {"kind": "category"} for n in ("a", "b", "c")}})
        path = parquet(
            tmp_path,
            item_id=["1", "2"],
            a=pa.array([3, None], pa.int64()),
            b=[True, None],
            c=pa.array(["x", None]).dictionary_encode(),
        )
        records = read_records(path, side, "item_id").records
        assert records == [{"a": "3", "b": "true", "c": "x"}, {}]

    def test_null_is_missing_and_an_empty_list_is_not(self, tmp_path: Path) -> None:
        lists = pa.array([None, [], ["a"], None, ["b", "c"]], pa.list_(pa.string()))
        path = parquet(tmp_path, item_id=list("12345"), recent=lists, tags=lists.slice(0))
        records = read_records(path, SIDE, "item_id").records
        assert [record.get("recent") for record in records] == [None, [], ["a"], None, ["b", "c"]]
        assert [record.get("tags") for record in records] == [None, [], ["a"], None, ["b", "c"]]

    def test_lists_are_read_right_from_every_piece_of_a_file(self, tmp_path: Path) -> None:
        path, lists = tmp_path / "items.parquet", [[str(n)] * (n % 4) for n in range(1000)]
        table = pa.table({"item_id": [str(n) for n in range(1000)], "recent": lists})
        pyarrow.parquet.write_table(table, path, row_group_size=7)
        assert [r["recent"] for r in read_records(path, SIDE, "item_id").records] == lists

    @pytest.mark.parametrize(
        "kind", [pa.list_(pa.float64()), pa.list_(pa.float32(), 2), pa.large_list(pa.float16())]
    )
    def test_vectors_are_read_from_lists_of_any_storage(
        self, tmp_path: Path, kind: pa.DataType
    ) -> None:
        values = [np.array([0.5, 2], np.float16), None, np.array([3, 4], np.float16)]
        path = parquet(tmp_path, item_id=["a", "b", "c"], photo=pa.array(values, kind))
        found = read_records(path, SIDE, "item_id").records
        assert found == [{"photo": floats(0.5, 2.0)}, {}, {"photo": floats(3.0, 4.0)}]

    def test_vectors_are_read_from_text(self, tmp_path: Path) -> None:
        path = csv(tmp_path, 'item_id,photo\na,"0.5,2"\nb,3 4\nc,\n')
        found = read_records(path, SIDE, "item_id").records
        assert found == [{"photo": floats(0.5, 2.0)}, {"photo": floats(3.0, 4.0)}, {}]

    def test_vector_of_another_length_names_its_row(self, tmp_path: Path) -> None:
        path = csv(tmp_path, 'item_id,photo\na,"0.5,2"\nb,3\n')
        assert fault_of(path) == (
            "column 'photo', row 2: got '3', expected a list of 2 finite numbers, or null; "
            "this has 1"
        )

    def test_other_columns_are_extras(self, tmp_path: Path) -> None:
        table = read_records(parquet(tmp_path, item_id=["a"], maker=["m"], x=[3]), SIDE, "item_id")
        assert table.extras.to_pydict() == {"x": [3]}
        assert table.features == ("maker",)
        assert table.records == [{"maker": "m"}]

    def test_text_that_is_no_unicode_is_refused(self, tmp_path: Path) -> None:
        broken = pa.Array.from_buffers(
            pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")]
        )
        assert "column 'maker'" in fault_of(parquet(tmp_path, item_id=["a"], maker=broken))
        assert "column 'item_id'" in fault_of(parquet(tmp_path, item_id=broken))

    @pytest.mark.parametrize("name", ["items.json", "items", "items.CSV.bak"])
    def test_file_of_another_kind_is_refused(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text("x")
        with pytest.raises(DataError, match=r"expected a \.parquet or \.csv file"):
            read_table(tmp_path / name)

    @pytest.mark.parametrize("name", ["items.parquet", "items.csv"])
    def test_absent_and_broken_files_are_refused(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(DataError, match="no such file"):
            read_table(tmp_path / name)
        (tmp_path / name).write_bytes(b"\x00\xffPAR1")
        with pytest.raises(DataError, match=name):
            read_records(tmp_path / name, SIDE, "item_id")

    @given(st.lists(RECORD, max_size=5))
    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_written_records_are_read_back(
        self, tmp_path: Path, records: list[dict[str, Any]]
    ) -> None:
        path, ids = tmp_path / "items.parquet", [f"{n}" for n in range(len(records))]
        extras = {"popularity": pa.array([0.5] * len(records), pa.float64())}
        write_records(path, SIDE, "item_id", ids, records, extras)
        table = read_records(path, SIDE, "item_id")
        assert (table.ids, table.records) == (ids, records)
        tastes: list[Any] = [r.get("taste", ()) for r in table.records]
        assert [list(taste) for taste in tastes] == [
            list(r.get("taste", ())) for r in records
        ]  # the order of weighted words too
        assert table.extras.column_names == ["popularity"]


class TestMoments:
    @given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5))])))
    @settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_moment_is_read_back_and_the_table_unchanged(
        self, tmp_path: Path, moment: datetime
    ) -> None:
        path = tmp_path / "items.parquet"
        write_records(path, SIDE, "item_id", ["a"], [{"taste": {"b": 1.0, "a": 2.0}}])
        before = read_table(path)
        assert read_as_of(path) is None
        write_as_of(path, path, moment)
        assert read_as_of(path) == moment
        assert read_table(path).equals(before)

    def test_csv_tells_no_moment(self, tmp_path: Path) -> None:
        assert read_as_of(csv(tmp_path, "item_id\na\n")) is None

    def test_moment_without_a_zone_is_utc_and_none_is_a_fault(self, tmp_path: Path) -> None:
        path = tmp_path / "items.parquet"
        for said in ["2026-01-31T12:00:00", "monday"]:
            table = pa.table({"item_id": ["a"]}, metadata={"firstsight.as_of": said})
            pyarrow.parquet.write_table(table, path)
            if said != "monday":
                assert read_as_of(path) == datetime(2026, 1, 31, 12, tzinfo=UTC)
        with pytest.raises(
            DataError, match=r"items\.parquet: metadata firstsight\.as_of: .*monday"
        ):
            read_as_of(path)

    @pytest.mark.parametrize("name", ["items.parquet", "items.csv"])
    def test_file_that_is_absent_or_broken_is_refused(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(DataError, match=f"{name}: no such file"):
            read_as_of(tmp_path / name)
        (tmp_path / "broken.parquet").write_bytes(b"\x00\xffPAR1")
        with pytest.raises(DataError, match=r"broken\.parquet: "):
            read_as_of(tmp_path / "broken.parquet")
