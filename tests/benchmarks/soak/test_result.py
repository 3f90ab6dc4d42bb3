"""A stopped run goes on: what has passed is not done again, what has failed is."""

import json
from pathlib import Path
from typing import ClassVar

import pytest
from typer.testing import CliRunner

from benchmarks.soak.__main__ import app, parameters
from benchmarks.soak.ledger import Ledger
from benchmarks.soak.page import write_page
from benchmarks.soak.result import read_result, run_kept
from benchmarks.soak.scenario import Figures, Say, Scenario
from export.contract.errors import ConfigError


class Made(Scenario):
    """Counts its runs and fails where it is told to."""

    name = "made"
    small: ClassVar = {"items": 1}
    fails: bool = False
    raises: bool = False
    runs: ClassVar[list[int]] = []

    def run(self, folder: Path, ledger: Ledger, say: Say) -> Figures:
        self.runs.append(self.items)
        (folder / "log").write_text("what happened")
        if self.raises:
            raise TimeoutError("nothing came")
        if self.fails:
            ledger.fault("an item was lost")
        return {"items seen": self.items}


@pytest.fixture(autouse=True)
def no_runs() -> None:
    Made.runs.clear()


def say(_: str) -> None:
    """Say nothing."""


def test_what_has_passed_is_not_done_again_unless_its_parameters_changed(tmp_path: Path) -> None:
    first = run_kept(Made.scaled("full"), tmp_path, say)
    assert run_kept(Made.scaled("full"), tmp_path, say) == first
    run_kept(Made.scaled("small"), tmp_path, say)
    run_kept(Made.scaled("small", items=7), tmp_path, say)
    assert Made.runs == [20_000, 1, 7]
    assert not (tmp_path / "work" / "made").exists()


@pytest.mark.parametrize(
    ("how", "fault"),
    [("fails", "an item was lost"), ("raises", "TimeoutError: nothing came")],
)
def test_what_has_failed_is_done_again_and_leaves_its_folder(
    tmp_path: Path, how: str, fault: str
) -> None:
    for _ in range(2):
        found = run_kept(Made.scaled("full", **{how: True}), tmp_path, say)
        assert found["faults"] == [fault]
    assert len(Made.runs) == 2
    assert (tmp_path / "work" / "made" / "log").is_file()


def test_a_result_tells_machine_parameters_and_figures(tmp_path: Path) -> None:
    run_kept(Made.scaled("full"), tmp_path, say)
    found = read_result(tmp_path / "made.json")
    assert found is not None
    assert found["parameters"]["seed"] == 1
    assert found["machine"]["cores"]
    assert found["figures"]["items seen"] == 20_000
    assert read_result(tmp_path / "other.json") is None


def test_results_are_written_between_the_marks_of_a_page(tmp_path: Path) -> None:
    found = run_kept(Made.scaled("full", fails=True), tmp_path, say)
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- soak: begin -->\nbygone\n<!-- soak: end -->\nafter\n")
    found["figures"]["seconds"] = 90.0
    write_page([Made], [found, found], page)
    text = page.read_text()
    assert "Together 3 minutes." in text
    assert "bygone" not in text
    assert text.startswith("before\n")
    assert "| made | Counts its runs and fails where it is told to. items 20000" in text
    assert "**1 broken promises**" in text
    page.write_text("no marks")
    with pytest.raises(ConfigError, match="begin"):
        write_page([Made], [found], page)


def test_parameters_are_given_by_scenario() -> None:
    assert parameters(["churn.seconds=300", "churn.items=50", "redis.kills=2"]) == {
        "churn": {"seconds": "300", "items": "50"},
        "redis": {"kills": "2"},
    }


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--only", "wrokers"], "scenario 'wrokers': expected one of workers"),
        (["--set", "kills=3"], "expected NAME.PARAMETER=VALUE"),
        (["--set", "nobody.kills=3"], "scenario 'nobody'"),
        (["--scale", "tiny"], "expected small or full"),
        (["--only", "redis", "--set", "redis.kils=3"], "redis.kils: there is no such parameter"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(
    tmp_path: Path, words: list[str], line: str
) -> None:
    ended = CliRunner().invoke(app, ["--out", str(tmp_path / "out"), *words])
    assert ended.exit_code == 2
    assert line in " ".join(ended.output.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_exit_code_is_1_where_a_promise_was_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.soak.__main__.SCENARIOS", (Made,))
    ended = CliRunner().invoke(app, ["--out", str(tmp_path), "--set", "made.fails=true"])
    assert (ended.exit_code, "broken: an item was lost" in ended.output) == (1, True)
    ended = CliRunner().invoke(app, ["--out", str(tmp_path)])
    assert (ended.exit_code, "made: passed" in ended.output) == (0, True)
    assert json.loads((tmp_path / "made.json").read_text())["faults"] == []
