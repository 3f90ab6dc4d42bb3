"""A service of towers with data files: it answers as of whole ones, and maps what is large."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.processes import Served
from tests.tiny import tiny_bundle

ASKED = {"user": {"taste": {"music": 1.0}, "recent": ["i3", "i9"]}, "k": 20}


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Served, Served]]:
    """One service of towers of one file each, and one of towers with data files."""
    whole = Served(tmp_path / "a", tiny_bundle(tmp_path / "whole"))
    try:
        parted = Served(tmp_path / "b", tiny_bundle(tmp_path / "parted", large_bytes=200))
        try:
            yield whole, parted
        finally:
            parted.kill()
    finally:
        whole.kill()


def test_both_answer_the_same_and_a_worker_maps_the_data_files(
    pair: tuple[Served, Served],
) -> None:
    answers = []
    for served in pair:
        posted = served.ask("POST", "/items", {"id": "new", "topics": ["music"]})
        found = served.ask("POST", "/recall", ASKED)
        assert (posted[0], found[0]) == (201, 200)
        assert "new" in found[1]["items"]
        answers.append((posted[1]["vector"], found[1]["items"], found[1]["scores"]))
    assert answers[0] == answers[1]
    for served, wanted in zip(pair, (set(), {"user", "item"}), strict=True):
        mapped = {Path(one.path).name for p in served.family() for one in p.memory_maps()}
        assert {f"{side}_tower.onnx.data" for side in wanted} == {
            name for name in mapped if name.endswith(".data")
        }
