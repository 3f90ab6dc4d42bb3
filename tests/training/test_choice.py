import json
from pathlib import Path
from typing import Any

import pytest

from export.contract.run import RunLayout
from training.choice import choose, validated


def run(folder: Path, selected: list[float], warm: list[float] | None = None) -> RunLayout:
    """Write what training says of epochs with these figures."""
    folder.mkdir(parents=True)
    best = selected.index(max(selected))
    epochs: list[dict[str, Any]] = [
        {"epoch": n + 1, "loss": 1.0, "warm": (warm or selected)[n], "selected": one}
        for n, one in enumerate(selected)
    ]
    metrics = {"selected_epoch": best + 1, "selected": selected[best], "epochs": epochs}
    layout = RunLayout(folder)
    layout.metrics.write_text(json.dumps(metrics), encoding="utf-8")
    return layout


def test_the_figures_are_those_of_the_selected_epoch(tmp_path: Path) -> None:
    layout = run(tmp_path / "a-1", selected=[0.1, 0.3, 0.2], warm=[0.9, 0.5, 0.7])
    assert validated(layout) == {"warm": 0.5, "selected": 0.3}


def test_the_highest_mean_over_seeds_is_chosen(tmp_path: Path) -> None:
    runs = {
        "lucky": [run(tmp_path / "lucky-1", [0.5]), run(tmp_path / "lucky-2", [0.1])],
        "steady": [run(tmp_path / "steady-1", [0.4]), run(tmp_path / "steady-2", [0.3])],
    }
    found = choose(runs)
    assert found["chosen"] == "steady"
    assert found["mean"]["steady"]["selected"] == pytest.approx(0.35)
    assert found["spread"]["lucky"]["selected"] == [0.1, 0.5]


def test_of_equals_nothing_is_chosen_and_of_equal_bests_the_first(tmp_path: Path) -> None:
    level = {name: [run(tmp_path / name, [0.5])] for name in ("a", "b")}
    assert choose(level)["chosen"] is None
    assert choose({"worse": [run(tmp_path / "worse", [0.1])], **level})["chosen"] == "a"
