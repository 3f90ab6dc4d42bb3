"""The folder for metrics ends with its service, however that ends."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.metrics_home import metrics_home

PROGRAM = """
from service.metrics_home import metrics_home
with metrics_home() as home:
    print(home, flush=True)
    input()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield tmp_path
    tempfile.tempdir = None


def test_it_is_there_and_then_gone(folder: Path) -> None:
    with metrics_home() as home:
        assert home.parent == folder
        assert home.is_dir()
    assert list(folder.iterdir()) == []


def test_what_a_killed_one_left_goes_and_that_of_a_living_one_stays(folder: Path) -> None:
    stranger = folder / "firstsight-metrics-stranger"
    stranger.mkdir()
    start = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(start, stdin=-1, stdout=-1, text=True) as killed, metrics_home() as lives:
        assert killed.stdout is not None
        left = Path(killed.stdout.readline().strip())
        (left / "counter_1.db").write_bytes(b"x")
        with metrics_home() as home:
            assert {*folder.iterdir()} == {stranger, lives, left, home}
        killed.kill()
        killed.wait()
        with metrics_home() as home:
            assert {*folder.iterdir()} == {stranger, lives, home}
