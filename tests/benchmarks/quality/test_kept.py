import shutil
from pathlib import Path

import pytest

from benchmarks.quality.case import Case
from benchmarks.quality.final import final
from benchmarks.quality.kept import keep
from benchmarks.quality.models import OURS
from benchmarks.quality.select import select
from benchmarks.quality.table import write_tables
from tests.benchmarks.quality.conftest import case_of
from tests.benchmarks.quality.test_table import CHEAP, MARKS, measured, rows, silent
from training.search import LINES

NAME = "citeulike_cold"


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("benchmarks.quality.case.KEPT", tmp_path / "kept")
    return tmp_path / "kept"


def another_machine(prepared: Path, work: Path) -> Case:
    shutil.copytree(prepared / NAME, work / NAME)
    return case_of(work, NAME)


def test_trials_that_were_kept_are_not_made_again(prepared: Path, tmp_path: Path) -> None:
    here = measured(prepared, tmp_path / "here", NAME)
    keep(here, silent)
    there = another_machine(prepared, tmp_path / "there")
    told: list[str] = []
    select(there, {"wmf"}, 2, told.append)
    assert [line[:7] for line in told if line.startswith("trial ")] == ["trial 2"]
    first = [trials(case)[0] for case in (here, there)]
    assert first[0] == first[1]


def trials(case: Case) -> list[str]:
    return (case.searches / "wmf" / LINES).read_text("utf-8").splitlines()


def test_what_was_measured_elsewhere_stays_on_the_page_and_is_compared_with(
    prepared: Path, tmp_path: Path
) -> None:
    page = tmp_path / "quality.md"
    page.write_text(MARKS.format(NAME), encoding="utf-8")
    here = measured(prepared, tmp_path / "here", NAME)
    write_tables([here], page)
    keep(here, silent)
    before = rows(page)
    there = another_machine(prepared, tmp_path / "there")
    select(there, {"popularity"}, 1, silent)
    final(there, {"popularity"}, [1], silent)
    write_tables([there], page)
    after = rows(page)
    assert after.keys() == before.keys()
    assert list(after) == list(before)
    assert {name: cells for name, cells in after.items() if name != "popularity"} == {
        name: cells for name, cells in before.items() if name != "popularity"
    }
    assert after["popularity"][:7] == before["popularity"][:7]  # its seconds differ
    assert OURS in after


def test_rows_of_other_users_do_not_stay(prepared: Path, tmp_path: Path) -> None:
    page = tmp_path / "quality.md"
    page.write_text(MARKS.format(NAME), encoding="utf-8")
    here = measured(prepared, tmp_path / "here", NAME)
    write_tables([here], page)
    text = page.read_text("utf-8")
    (head,) = [line for line in text.splitlines() if line.startswith("| cold item, ")]
    page.write_text(text.replace(head, head.replace(" users", "9 users")), encoding="utf-8")
    for path in here.finals.glob("wmf-*"):
        path.unlink()
    write_tables([here], page)
    assert "wmf" not in rows(page)
    assert CHEAP - {"wmf"} < rows(page).keys()
