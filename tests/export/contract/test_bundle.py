"""Reading a bundle refuses what does not fit together, and writing one is all or nothing."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from export.contract.bundle import BundleLayout, new_folder, read_bundle
from export.contract.errors import BundleError
from export.contract.schema import hash_of
from tests.export.forged import edit_json, names_in, sign
from tests.tiny import DIM, tiny_schema


def fault_of(bundle: Path) -> str:
    with pytest.raises(BundleError) as error:
        read_bundle(bundle)
    return str(error.value)


class TestRead:
    def test_bundle_holds_what_was_written(self, tiny: Path) -> None:
        bundle = read_bundle(tiny)
        assert bundle.version == "tiny-1"
        assert bundle.schema == tiny_schema()
        assert bundle.ids == [f"i{number}" for number in range(40)]
        assert bundle.vectors.shape == (40, DIM)
        assert bundle.records.column_names == ["topics", "length", "clicks"]
        assert bundle.records.column("clicks").to_pylist()[:3] == [0.0, None, 2.0]
        assert bundle.popularity.sum() == pytest.approx(1)
        assert bundle.first_seen[3] == 1.65e9 + 3

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda v: v.astype(np.float64), "got float64[40, 8], expected float32[40, 8]"),
            (lambda v: v[:-1], "got float32[39, 8], expected float32[40, 8]"),
            (lambda v: v[:, :-1], "got float32[40, 7]"),
            (lambda v: v.reshape(-1), "got float32[320]"),
            (lambda v: np.where(np.arange(40)[:, None] == 2, np.nan, v), "row 3 has length nan"),
            (lambda v: np.where(np.arange(40)[:, None] == 2, np.inf, v), "row 3 has length inf"),
            (lambda v: np.where(np.arange(40)[:, None] == 2, 2 * v, v), "row 3 has length 2"),
            (lambda v: 0 * v, "row 1 has length 0"),
        ],
    )
    def test_vectors_that_are_none_are_refused(
        self, spoilt: Path, spoil: Callable[[np.ndarray], np.ndarray], message: str
    ) -> None:
        path = spoilt / "vectors.npy"
        vectors = spoil(np.load(path))
        np.save(path, vectors.astype(np.float32) if "length" in message else vectors)
        sign(spoilt)
        assert message in fault_of(spoilt)
        assert str(path) in fault_of(spoilt)

    def test_vectors_that_would_run_code_are_refused(self, spoilt: Path) -> None:
        np.save(spoilt / "vectors.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
        sign(spoilt)
        assert "vectors.npy" in fault_of(spoilt)

    @pytest.mark.parametrize("content", [b"", b"nonsense", b"\x93NUMPY"])
    def test_vectors_that_are_no_array_are_refused(self, spoilt: Path, content: bytes) -> None:
        (spoilt / "vectors.npy").write_bytes(content)
        sign(spoilt)
        assert "vectors.npy" in fault_of(spoilt)

    def test_other_schema_is_refused(self, spoilt: Path) -> None:
        edit_json(spoilt / "schema.json", lambda schema: schema | {"rules": {}})
        sign(spoilt)
        assert "schema.json: is not the one the manifest names" in fault_of(spoilt)

    @pytest.mark.parametrize("member", ["schema_hash", "dim"])
    def test_manifest_of_another_schema_is_refused(self, spoilt: Path, member: str) -> None:
        sign(spoilt, **{member: {"schema_hash": "0" * 64, "dim": DIM + 1}[member]})
        assert "schema.json: is not the one the manifest names" in fault_of(spoilt)

    def test_broken_schema_is_refused(self, spoilt: Path) -> None:
        (spoilt / "schema.json").write_text("{}")
        sign(spoilt)
        assert "schema.json" in fault_of(spoilt)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda t: t.drop_columns(["popularity"]), "a column 'popularity' of numbers"),
            (lambda t: t.drop_columns(["first_seen"]), "a column 'first_seen' of numbers"),
            (lambda t: t.drop_columns(["id"]), "no column 'id'"),
            (lambda t: t.slice(1), "holds 39 items, the manifest says 40"),
            (lambda t: pa.concat_tables([t.slice(1), t.slice(5, 1)]), "an id stands twice"),
            (
                lambda t: t.set_column(
                    t.column_names.index("popularity"), "popularity", pa.array([1.5] * 40)
                ),
                "column 'popularity', row 1: got 1.5, expected a share in 0..1",
            ),
            (
                lambda t: t.set_column(
                    t.column_names.index("popularity"), "popularity", pa.array(["x"] * 40)
                ),
                "a column 'popularity' of numbers",
            ),
        ],
    )
    def test_items_that_do_not_fit_are_refused(
        self, spoilt: Path, change: Callable[[pa.Table], pa.Table], message: str
    ) -> None:
        path = spoilt / "items.parquet"
        pyarrow.parquet.write_table(change(pyarrow.parquet.read_table(path)), path)
        sign(spoilt)
        assert message in fault_of(spoilt)

    def test_items_that_are_no_table_are_refused(self, spoilt: Path) -> None:
        (spoilt / "items.parquet").write_bytes(b"PAR1")
        sign(spoilt)
        assert "items.parquet" in fault_of(spoilt)

    def test_unknown_first_seen_is_nan(self, spoilt: Path) -> None:
        path = spoilt / "items.parquet"
        table = pyarrow.parquet.read_table(path)
        at = table.column_names.index("first_seen")
        unknown = pa.array([None] * 40, pa.float64())
        pyarrow.parquet.write_table(table.set_column(at, "first_seen", unknown), path)
        sign(spoilt)
        assert np.isnan(read_bundle(spoilt).first_seen).all()

    def test_schema_of_an_older_release_is_read(self, spoilt: Path) -> None:
        """An option that came later, with its default, is not in an older file."""
        schema = spoilt / "schema.json"

        def without_option(content: dict[str, dict[str, dict[str, dict[str, object]]]]) -> object:
            del content["item"]["content"]["length"]["standardise"]
            return content

        edit_json(schema, without_option)
        sign(spoilt, schema_hash=hash_of(schema.read_bytes()))
        assert read_bundle(spoilt).schema == tiny_schema()


class Interrupted(BaseException):
    pass


class TestNewFolder:
    def test_folder_appears_whole(self, tmp_path: Path) -> None:
        target = tmp_path / "bundles" / "v1"
        with new_folder(target) as folder:
            (folder / "a").mkdir()
            (folder / "a" / "b").write_text("x")
            assert not target.exists()
        assert (target / "a" / "b").read_text() == "x"
        assert names_in(tmp_path / "bundles") == ["v1"]
        assert target.stat().st_mode & 0o777 == 0o755

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, Interrupted])
    def test_error_leaves_nothing_behind(self, tmp_path: Path, error: type[BaseException]) -> None:
        def write() -> None:
            with new_folder(tmp_path / "v1") as folder:
                (folder / "a").write_text("x")
                raise error

        with pytest.raises(error):
            write()
        assert names_in(tmp_path) == []

    def test_existing_folder_is_never_touched(self, tmp_path: Path) -> None:
        (tmp_path / "v1").mkdir()
        with (
            pytest.raises(BundleError, match="exists already; a bundle never changes"),
            new_folder(tmp_path / "v1"),
        ):
            pytest.fail("gave a folder")

    def test_folder_written_meanwhile_is_never_replaced(self, tmp_path: Path) -> None:
        def write_twice() -> None:
            with new_folder(tmp_path / "v1"):
                (tmp_path / "v1").mkdir()
                (tmp_path / "v1" / "first").write_text("x")

        with pytest.raises(BundleError, match="was it written meanwhile"):
            write_twice()
        assert names_in(tmp_path) == ["v1"]
        assert (tmp_path / "v1" / "first").read_text() == "x"

    def test_killed_writer_leaves_no_bundle_and_bars_no_other(self, tmp_path: Path) -> None:
        program = (
            "import os, sys\nfrom pathlib import Path\n"
            "from export.contract.bundle import new_folder\n"
            "with new_folder(Path(sys.argv[1])) as folder:\n"
            "    (folder / 'a').write_text('x')\n"
            "    os.kill(os.getpid(), 9)\n"
        )
        target = tmp_path / "v1"
        killed = subprocess.run([sys.executable, "-c", program, target], check=False)
        assert killed.returncode == -signal.SIGKILL
        assert not target.exists()
        assert all(name.startswith(".") for name in names_in(tmp_path))  # no version
        with new_folder(target) as folder:
            (folder / "manifest.json").write_text("{}")
        assert BundleLayout(target).manifest.is_file()
