import contextlib
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.contract.errors import ConfigError
from training.mapped import Growing, GrowingColumns
from training.ragged import Ragged


def test_rows_are_read_as_they_were_appended() -> None:
    plain = np.arange(24, dtype=np.float32).reshape(8, 3)
    bags = Ragged.of(np.array([2, 0, 1, 3, 0, 0, 1, 2]), np.arange(9), np.arange(8) == 4)
    bags = replace(bags, weights=np.linspace(0, 1, 9, dtype=np.float32))
    columns = GrowingColumns()
    for rows in (np.arange(3), np.arange(0), np.arange(3, 8)):
        columns.append({"plain": plain[rows], "bags": bags.take(rows)})
    found = columns.read()
    read = found["bags"]
    assert isinstance(read, Ragged)
    np.testing.assert_array_equal(found["plain"], plain)
    for name in ("indptr", "values", "weights", "missing"):
        np.testing.assert_array_equal(getattr(read, name), getattr(bags, name))
        assert getattr(read, name).dtype == getattr(bags, name).dtype


def test_no_rows_keep_type_and_shape() -> None:
    growing = Growing()
    growing.append(np.zeros((0, 4), dtype=np.int8))
    assert growing.read().shape == (0, 4)


def test_the_files_lie_where_tmpdir_says_and_leave_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    growing = Growing()
    growing.append(np.arange(5000))
    found = growing.read()
    assert not any(tmp_path.iterdir())
    maps = Path("/proc/self/maps").read_text()
    assert str(tmp_path) in maps, "it is a map of a file there"
    assert found.sum() == 4999 * 2500


def test_nobody_writes_to_a_map() -> None:
    growing = Growing()
    growing.append(np.arange(3))
    with pytest.raises(ValueError, match="read-only"):
        growing.read()[0] = 1


def test_a_folder_that_takes_nothing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    with pytest.raises(ConfigError, match=r"TMPDIR: got .*/gone \(No such file or directory\)"):
        Growing()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    full = Path("/dev/full").open("wb")  # noqa: SIM115 the array closes it
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: full)
    growing = Growing()
    with pytest.raises(ConfigError, match=r"TMPDIR: .* \(No space left on device\)"):
        growing.append(np.arange(5000))
    with contextlib.suppress(OSError):
        full.close()
