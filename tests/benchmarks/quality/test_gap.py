import shutil
from pathlib import Path

import pytest

from benchmarks.quality.case import Case
from benchmarks.quality.final import fit_rival
from benchmarks.quality.gap import K, gap, write_gap
from benchmarks.quality.known import Known
from benchmarks.quality.rivals import RIVALS
from benchmarks.quality.select import select
from export.contract.errors import ConfigError
from tests.benchmarks.quality.conftest import case_of
from training.parts import TEST

FEW = {"popularity", "content_neighbours"}


def silent(text: str) -> None:
    """Tell nobody."""


@pytest.fixture(scope="module")
def case(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    work = tmp_path_factory.mktemp("gap")
    shutil.copytree(prepared / "citeulike_warm", work / "citeulike_warm")
    case = case_of(work, "citeulike_warm")
    select(case, FEW, 1, silent)
    return case


def test_the_parts_add_up_to_the_recalls_and_to_their_difference(case: Case) -> None:
    known = Known.of(case, TEST)
    rivals = [one for one in RIVALS if one.name in FEW]
    mine, other = (fit_rival(case, one, known, 1) for one in rivals)
    table = gap(known, "warm", mine, other, rivals[1].name)
    rows = [[cell.strip() for cell in one.strip("|").split("|")] for one in table.splitlines()[2:]]
    recalls = []
    for fitted in (mine, other):
        assert fitted.scores is not None
        recalls.append(known.measure(fitted.scores, (K,))["warm"].recall[K])
    assert recalls[0] != recalls[1]
    assert [float(cell) for cell in rows[-1][2:4]] == pytest.approx(recalls, abs=1e-4)
    assert float(rows[-1][4]) == pytest.approx(recalls[0] - recalls[1], abs=1e-4)
    assert len(rows) > 3
    assert sum(float(row[1]) for row in rows[:-1]) == pytest.approx(1, abs=0.005)
    parts = sum(float(row[4]) for row in rows[:-1])
    assert parts == pytest.approx(recalls[0] - recalls[1], abs=1e-3)


@pytest.mark.parametrize(
    ("place", "rival", "said"),
    [("warm", "best", "--than best: expected one of"), ("hot", "ease", "--place hot: expected")],
)
def test_what_there_is_not_is_refused(case: Case, place: str, rival: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        write_gap(case, place, rival, Path("quality.md"), silent)
