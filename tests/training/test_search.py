import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from export.contract.errors import ConfigError
from training.search import ASKED, LINES, Best, Search, Values
from training.span import Choice, Searched, Span

SPACE: dict[str, Searched] = {"x": Span(-1.0, 1.0), "side": Choice(("left", "right"))}


def hill(values: Values) -> float:
    return (1.0 if values["side"] == "left" else 0.0) - float(values["x"]) ** 2


def silent(text: str) -> None:
    """Tell nobody."""


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(one) for one in (folder / LINES).read_text("utf-8").splitlines()]


def test_the_best_is_the_trial_with_the_highest_figure_and_every_trial_has_its_line(
    tmp_path: Path,
) -> None:
    told: list[Best] = []
    best = Search(tmp_path, SPACE, "hill").run(hill, 12, silent, on_trial=told.append)
    found = lines(tmp_path)
    assert [one["trial"] for one in found] == list(range(1, 13))
    assert best.figure == max(one["figure"] for one in found) == told[-1].figure
    assert best.figure == hill(best.values)
    assert all(one["figure"] == hill(one["values"]) for one in found)


def test_a_stopped_search_goes_on_with_other_values(tmp_path: Path) -> None:
    Search(tmp_path, SPACE, "hill").run(hill, 2, silent)
    Search(tmp_path, SPACE, "hill").run(hill, 5, silent)
    found = lines(tmp_path)
    assert len(found) == 5
    assert len({str(one["values"]) for one in found}) == 5


def test_a_search_goes_on_where_its_two_files_were_carried(tmp_path: Path) -> None:
    best = Search(tmp_path / "here", SPACE, "hill").run(hill, 6, silent)
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    assert {one.name for one in (tmp_path / "there").iterdir()} == {ASKED, LINES}

    def not_again(values: Values) -> float:
        raise AssertionError(values)

    told: list[Best] = []
    found = Search(tmp_path / "there", SPACE, "hill").run(
        not_again, 6, silent, on_trial=told.append
    )
    assert found == best == told[0]
    assert lines(tmp_path / "there") == lines(tmp_path / "here")
    Search(tmp_path / "there", SPACE, "hill").run(hill, 7, silent)
    assert lines(tmp_path / "there")[:6] == lines(tmp_path / "here")


def test_a_search_of_the_same_that_was_begun_elsewhere_is_taken_over(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    Search(begun, SPACE, "hill").run(hill, 3, silent)
    Search(tmp_path / "here", SPACE, "hill", begun=begun).run(hill, 5, silent)
    assert lines(tmp_path / "here")[:3] == lines(begun)
    assert len(lines(tmp_path / "here")) == 5
    assert len(lines(begun)) == 3
    told: list[str] = []
    Search(tmp_path / "dale", SPACE, "dale", begun=begun).run(hill, 2, told.append)
    assert len(told) == 2


def test_a_failure_that_was_named_is_done_without_a_figure(tmp_path: Path) -> None:
    def falls(values: Values) -> float:
        if values["side"] == "left":
            raise ArithmeticError
        return hill(values)

    best = Search(tmp_path, SPACE, "hill").run(falls, 8, silent, failures=(ArithmeticError,))
    failed = [one for one in lines(tmp_path) if one["figure"] is None]
    assert failed
    assert best.values["side"] == "right"


def test_the_folder_of_another_search_is_refused(tmp_path: Path) -> None:
    Search(tmp_path, SPACE, "hill").run(hill, 1, silent)
    for other in (Search(tmp_path, SPACE, "dale"), Search(tmp_path, {"x": Span(0, 1)}, "hill")):
        with pytest.raises(ConfigError, match="another configuration, space or data"):
            other.run(hill, 2, silent)


def test_a_search_begins_where_it_is_told_to(tmp_path: Path) -> None:
    start = {"x": 0.5, "side": "right"}
    for trials in (1, 3):  # going on begins nothing anew
        Search(tmp_path, SPACE, "hill").run(hill, trials, silent, start=start)
    found = lines(tmp_path)
    assert len(found) == 3
    assert [one["values"] == start for one in found] == [True, False, False]


def test_a_trial_that_is_better_than_those_before_is_told_so(tmp_path: Path) -> None:
    told: list[str] = []
    Search(tmp_path, SPACE, "hill").run(hill, 6, told.append)
    highest = -math.inf
    for line, one in zip(told, lines(tmp_path), strict=True):
        assert line.endswith("; best so far") == (one["figure"] > highest)
        highest = max(highest, one["figure"])
