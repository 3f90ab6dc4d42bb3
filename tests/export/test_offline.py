"""Vectors and recall without a service equal what the towers and exact search give."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from export.contract.errors import DataError
from export.contract.side import Record
from export.embedder import open_bundle
from export.offline import embed_file, recall_file, write_tables

USERS: list[dict[str, Any]] = [
    {"country": "de", "age": 30.0, "taste": {"art": 2.0, "food": 1.0}},
    {"country": "fr"},
    {"recent": ["i1", "i2"], "taste": {"music": 1.0}},
    {},
]


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """USERS as CSV, ids u0 to u3, with a column that is no feature and one that is absent."""
    path = tmp_path / "users.csv"
    path.write_text(
        "user_id,country,age,recent,taste,note\n"
        'u0,de,30,,"art:2,food:1",x\nu1,fr,,,,x\nu2,,,"i1,i2",music:1,x\nu3,,,,,x\n'
    )
    return path


def read(path: Path) -> dict[str, list[Any]]:
    read_table = pyarrow.parquet.read_table if path.suffix == ".parquet" else pyarrow.csv.read_csv
    columns: dict[str, list[Any]] = read_table(path).to_pydict()
    return columns


class TestEmbed:
    @pytest.mark.parametrize("ending", ["parquet", "csv"])
    def test_vectors_equal_those_of_the_towers(
        self, tiny: Path, users: Path, tmp_path: Path, ending: str
    ) -> None:
        out = tmp_path / "new" / f"vectors.{ending}"
        assert embed_file(tiny, "user", users, out) == 4
        found = read(out)
        assert found["user_id"] == ["u0", "u1", "u2", "u3"]
        vectors = found["vector"]
        if ending == "csv":
            vectors = [[float(x) for x in text.split()] for text in vectors]
        expected = open_bundle(tiny)[1].embed("user", USERS)
        np.testing.assert_array_equal(np.array(vectors, np.float32), expected)

    def test_a_file_in_parts_gives_what_it_gives_whole(
        self, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = tmp_path / "items.parquet"
        columns = {"item_id": [f"i{n}" for n in range(9)], "note": ["x"] * 9}
        pyarrow.parquet.write_table(pa.table(columns | {"length": np.arange(9.0)}), source)
        told: list[str] = []
        found = []
        for part in (100, 2):
            monkeypatch.setattr("export.offline.PART", part)
            out = tmp_path / f"{part}.parquet"
            assert embed_file(tiny, "item", source, out, on_note=told.append) == 9
            found.append(pyarrow.parquet.read_table(out))
        assert found[0].equals(found[1])
        assert len(told) == 4  # what is no feature, and what has no column: once a file
        assert told[:2] == told[2:]

    def test_items_of_the_bundle_give_the_vectors_of_the_bundle(
        self, tiny: Path, tmp_path: Path
    ) -> None:
        items = tmp_path / "items.parquet"
        table = pyarrow.parquet.read_table(tiny / "items.parquet")
        pyarrow.parquet.write_table(
            table.rename_columns(["item_id", *table.column_names[1:]]), items
        )
        embed_file(tiny, "item", items, tmp_path / "v.parquet")
        vectors = np.array(read(tmp_path / "v.parquet")["vector"], np.float32)
        np.testing.assert_allclose(vectors, np.load(tiny / "vectors.npy"), atol=1e-6)

    @pytest.mark.parametrize("ending", ["parquet", "csv"])
    def test_no_records_give_a_table_of_no_rows(
        self, tiny: Path, tmp_path: Path, ending: str
    ) -> None:
        (tmp_path / "users.csv").write_text("user_id\n")
        out = tmp_path / f"out.{ending}"
        assert embed_file(tiny, "user", tmp_path / "users.csv", out) == 0
        assert read(out) == {"user_id": [], "vector": []}
        assert recall_file(tiny, tmp_path / "users.csv", 3, out) == 0
        assert list(read(out)) == ["user_id", "rank", "item_id", "score"]

    def test_columns_and_features_without_each_other_are_told(
        self, tiny: Path, users: Path, tmp_path: Path
    ) -> None:
        told: list[str] = []
        embed_file(tiny, "user", users, tmp_path / "v.csv", on_note=told.append)
        assert told == [
            f"{users}: columns that are no features: note",
            f"{users}: features without a column: tab",
        ]

    def test_new_item_is_told_what_its_concept_knows(self, exported: Path, tmp_path: Path) -> None:
        bundle, embedder = open_bundle(exported)
        [told] = bundle.concepts.values.values()
        maker, rate = next(iter(told.items()))
        (tmp_path / "new.csv").write_text(f"item_id,maker\nx,{maker}\ny,nobody\n")
        (tmp_path / "given.csv").write_text(f"item_id,maker,maker_rate\nx,{maker},\n")
        notes: list[str] = []
        vectors: dict[str, Any] = {}
        for name in ("new", "given"):
            embed_file(
                exported,
                "item",
                tmp_path / f"{name}.csv",
                tmp_path / "v.parquet",
                on_note=notes.append,
            )
            vectors[name] = np.array(read(tmp_path / "v.parquet")["vector"], np.float32)
        records: list[Record] = [
            {"maker": maker, "maker_rate": rate},
            {"maker": "nobody"},
            {"maker": maker},
        ]
        expected = embedder.embed("item", records)
        np.testing.assert_array_equal(vectors["new"], expected[:2])
        np.testing.assert_array_equal(vectors["given"], expected[2:])  # an empty cell is missing
        assert not np.allclose(expected[0], expected[2])
        assert "maker_rate" not in "".join(notes)

    def test_side_decides_the_id_column(self, tiny: Path, users: Path, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="no column 'item_id'"):
            embed_file(tiny, "item", users, tmp_path / "v.csv")
        assert not (tmp_path / "v.csv").exists()


def expected_recall(bundle: Path, k: int) -> tuple[list[list[str]], np.ndarray]:
    """Return the k best items of each user and their scores, by plain multiplication."""
    found, embedder = open_bundle(bundle)
    scores = embedder.embed("user", USERS) @ found.vectors.T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return [[found.ids[i] for i in row] for row in order], np.take_along_axis(scores, order, 1)


class TestRecall:
    @pytest.mark.parametrize("exact", [False, True])
    @pytest.mark.parametrize("ending", ["parquet", "csv"])
    def test_recall_equals_exact_search(
        self, tiny: Path, users: Path, tmp_path: Path, ending: str, exact: bool
    ) -> None:
        out = tmp_path / f"out.{ending}"
        assert recall_file(tiny, users, 5, out, exact=exact) == 20
        found = read(out)
        assert found["user_id"] == [f"u{n // 5}" for n in range(20)]
        assert found["rank"] == [1, 2, 3, 4, 5] * 4
        items, scores = expected_recall(tiny, 5)
        np.testing.assert_allclose(np.reshape(found["score"], (4, 5)), scores, atol=1e-6)
        by_user = np.reshape(found["item_id"], (4, 5)).tolist()
        assert [set(row) for row in by_user] == [set(row) for row in items]

    def test_smaller_catalogue_than_k_gives_all_of_it(
        self, tiny: Path, users: Path, tmp_path: Path
    ) -> None:
        assert recall_file(tiny, users, 1000, tmp_path / "out.parquet") == 4 * 40
        found = read(tmp_path / "out.parquet")
        assert sorted(found["item_id"][:40]) == sorted(f"i{n}" for n in range(40))

    def test_other_items_replace_the_catalogue(
        self, tiny: Path, users: Path, tmp_path: Path
    ) -> None:
        items = tmp_path / "items.csv"
        items.write_text('item_id,topics,length\nnew-art,art,12\nnew-music,"music",12\n01,,3\n')
        assert recall_file(tiny, users, 2, tmp_path / "out.parquet", items=items) == 8
        found = read(tmp_path / "out.parquet")
        assert found["item_id"][0] == "new-art"  # u0 likes art
        assert found["item_id"][4] == "new-music"  # u2 likes music
        assert set(found["item_id"]) <= {"new-art", "new-music", "01"}

    def test_more_users_than_are_embedded_at_once_keep_their_order(
        self, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("export.offline.CHUNK", 7)
        ids = [f"u{n}" for n in range(50)]
        ages = [float(n) if n % 3 else None for n in range(50)]
        table = pa.table({"user_id": ids, "age": ages, "country": ["de", "fr"] * 25})
        pyarrow.parquet.write_table(table, tmp_path / "users.parquet")
        recall_file(tiny, tmp_path / "users.parquet", 2, tmp_path / "out.parquet")
        found = read(tmp_path / "out.parquet")
        assert found["user_id"] == [one for one in ids for _ in range(2)]
        embedder = open_bundle(tiny)[1]
        told: list[Record] = [{"age": a} if a is not None else {} for a in ages]
        records = [{**r, "country": ["de", "fr"][n % 2]} for n, r in enumerate(told)]
        best = (embedder.embed("user", records) @ np.load(tiny / "vectors.npy").T).max(axis=1)
        np.testing.assert_allclose(found["score"][::2], best, atol=1e-6)

    def test_tables_in_parts_give_what_they_give_whole(
        self, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        users, items = tmp_path / "users.parquet", tmp_path / "items.parquet"
        ages = pa.table({"user_id": [f"u{n}" for n in range(9)], "age": np.arange(9.0)})
        pyarrow.parquet.write_table(ages, users)
        lengths = pa.table({"item_id": [f"n{n}" for n in range(7)], "length": np.arange(7.0)})
        pyarrow.parquet.write_table(lengths, items)
        found = []
        for part in (100, 4):
            monkeypatch.setattr("export.offline.PART", part)
            assert recall_file(tiny, users, 3, tmp_path / "out.parquet", items=items) == 27
            found.append(read(tmp_path / "out.parquet"))
        scores = [one.pop("score") for one in found]
        assert found[0] == found[1]
        np.testing.assert_allclose(scores[0], scores[1], atol=1e-6)  # as BLAS adds up more or fewer


class TestWrite:
    TABLE = pa.table({"a": [1, 2]})

    def test_vectors_are_written_as_they_are_and_other_columns_packed(self, tmp_path: Path) -> None:
        vectors = pa.FixedSizeListArray.from_arrays(pa.array([1.0, 2.0] * 2, pa.float32()), 2)
        table = pa.table({"user_id": ["a", "b"], "vector": vectors})
        write_tables(tmp_path / "out.parquet", table.schema, [table])
        group = pyarrow.parquet.ParquetFile(tmp_path / "out.parquet").metadata.row_group(0)
        ids, numbers = group.column(0), group.column(1)
        assert (ids.has_dictionary_page, ids.compression) == (True, "SNAPPY")
        assert (numbers.has_dictionary_page, numbers.compression) == (False, "UNCOMPRESSED")
        assert pyarrow.parquet.read_table(tmp_path / "out.parquet").equals(table)

    @pytest.mark.parametrize("name", ["out.json", "out", "out.csv.gz"])
    def test_other_ending_is_refused(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(DataError, match=r"expected a \.parquet or \.csv file"):
            write_tables(tmp_path / name, self.TABLE.schema, [self.TABLE])

    @pytest.mark.parametrize("ending", ["parquet", "csv"])
    def test_failure_leaves_the_old_file_and_nothing_else(
        self, tmp_path: Path, ending: str
    ) -> None:
        out = tmp_path / f"out.{ending}"
        write_tables(out, self.TABLE.schema, [self.TABLE])
        before = out.read_bytes()

        def parts() -> Any:
            yield self.TABLE
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_tables(out, self.TABLE.schema, parts())
        assert out.read_bytes() == before
        assert list(tmp_path.iterdir()) == [out]
