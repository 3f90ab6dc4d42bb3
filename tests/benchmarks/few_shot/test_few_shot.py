import json
import sys
from pathlib import Path

import pytest

from benchmarks.few_shot.__main__ import main
from benchmarks.few_shot.reveal import SHOTS

WAYS = (
    "content",
    "own id",
    "mean of users",
    "own id trained later",
    "cvar",
    "cvar, then trained",
    "cvar, generated again",
    "content, lifted",
    "mean of users, lifted",
    "own id from 30 clicks on",
)


def test_each_way_is_measured_and_who_clicked_tells_what_content_does_not(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, out = tmp_path / "work", tmp_path / "found.json"
    options = ["--config", str(source / "config.yaml"), "--folds", "1", "--json", str(out)]
    monkeypatch.setattr(sys, "argv", ["few_shot", str(source), "--work", str(work), *options])
    main()
    found = json.loads(out.read_text())["figures"]["mean"]
    assert tuple(found) == WAYS
    for way in WAYS:
        assert list(found[way]) == [*map(str, SHOTS), "others"]
    for name in ("recall@100", "recall@5 of its own", "auc"):
        assert found["own id"]["0"][name] == found["content"]["0"][name]  # nothing revealed
    for k in ("20", "50"):
        assert found["mean of users"][k]["auc"] > found["content"][k]["auc"] + 0.1
        assert found["own id"][k]["auc"] > found["content"][k]["auc"] + 0.1

    (towers,) = work.glob("*/towers_1_1.pickle")
    towers.unlink()
    main()  # what is measured is kept
    assert json.loads(out.read_text())["figures"]["mean"] == found
    assert not towers.exists()

    monkeypatch.setattr(sys, "argv", [*sys.argv, "--set", "training.epochs=1"])
    main()  # what another configuration gives is not what was kept
    assert json.loads(out.read_text())["figures"]["mean"] != found
