import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.quality.final import final
from benchmarks.quality.models import LITERAL, ORIGINAL, RATE, final_config, model_space
from benchmarks.quality.select import select, selected
from export.contract.errors import ConfigError
from tests.benchmarks.quality.conftest import case_of
from training.parts import VALIDATION
from training.search import LINES
from training.span import Span

CHEAP = {"random", "popularity", "content_neighbours", "ease"}
MODEL = "dssm"
NAME = "citeulike_cold"

# Any file of a test folder that Python itself opens ends the process, and so does a listing.
WATCHED = """
import sys
from pathlib import Path
from benchmarks.quality.__main__ import app
work = Path(sys.argv[1])

def watch(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and arguments:
        if "/test" in str(arguments[0]).removeprefix(str(work)) and str(work) in str(arguments[0]):
            raise SystemExit(f"opened {arguments[0]}")

sys.addaudithook(watch)
if sys.argv[2] == "peep":
    open(work / "citeulike_cold" / "test" / "interactions.parquet")
app(["select", "--out", str(work), "--trials", "2", "--only", "citeulike_cold.all",
     "--scorers", sys.argv[2]])
"""


def silent(text: str) -> None:
    """Tell nobody."""


def copied(prepared: Path, work: Path) -> Path:
    shutil.copytree(prepared / NAME, work / NAME)
    return work


def watched(work: Path, scorers: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WATCHED, str(work), scorers]
    alone = os.environ | {"OMP_NUM_THREADS": "1"}  # sums in one order: equal to the last bit
    return subprocess.run(command, capture_output=True, text=True, check=False, env=alone)


def choices(work: Path) -> dict[str, list[tuple[object, object]]]:
    """Return what each search tried and found."""
    folder = case_of(work, NAME).searches
    found = {}
    for path in sorted(folder.glob(f"*/{LINES}")):
        lines = [json.loads(one) for one in path.read_text("utf-8").splitlines()]
        found[path.parent.name] = [(one["values"], one["figure"]) for one in lines]
    return found


def test_selection_opens_no_test_file_and_chooses_alike_without_or_with_others(
    prepared: Path, tmp_path: Path
) -> None:
    scorers = {*CHEAP, MODEL}
    done = watched(copied(prepared, tmp_path / "there"), ",".join(sorted(scorers)))
    assert done.returncode == 0, done.stderr
    gone = case_of(copied(prepared, tmp_path / "gone"), NAME)
    shutil.rmtree(gone.test)
    other = case_of(copied(prepared, tmp_path / "other"), NAME)
    rows = pq.read_table(other.test / "interactions.parquet")
    pq.write_table(rows.slice(0, rows.num_rows // 2), other.test / "interactions.parquet")
    (other.test / "candidates.parquet").write_bytes(b"no table")
    for work in (tmp_path / "gone", tmp_path / "other"):
        done = watched(work, ",".join(sorted(scorers)))
        assert done.returncode == 0, done.stderr
    there = choices(tmp_path / "there")
    assert there.keys() == {"content_neighbours", "ease", MODEL}
    assert all(len(trials) == 2 for trials in there.values())
    assert len({figure for trials in there.values() for _, figure in trials}) > 3
    assert there == choices(tmp_path / "gone") == choices(tmp_path / "other")


def test_the_watch_sees_a_test_file_that_is_opened(prepared: Path, tmp_path: Path) -> None:
    done = watched(copied(prepared, tmp_path), "peep")
    assert done.returncode != 0
    assert "opened" in done.stderr


def test_other_train_rows_are_another_choice(prepared: Path, tmp_path: Path) -> None:
    one, other = (copied(prepared, tmp_path / name) for name in ("one", "other"))
    path = case_of(other, NAME).train / "interactions.parquet"
    rows = pq.read_table(path)
    pq.write_table(rows.slice(0, rows.num_rows // 2), path)
    for work in (one, other):
        select(case_of(work, NAME), {"ease"}, 2, silent)
    assert choices(one) != choices(other)
    shutil.copy(case_of(one, NAME).train / "interactions.parquet", path)
    with pytest.raises(ConfigError, match="another configuration, space or data"):
        select(case_of(other, NAME), {"ease"}, 3, silent)


def test_a_stopped_selection_goes_on(prepared: Path, tmp_path: Path) -> None:
    case = case_of(copied(prepared, tmp_path), NAME)
    for trials in (1, 2, 2):
        select(case, {"ease"}, trials, silent)
    assert len(choices(tmp_path)["ease"]) == 2
    best = max(choices(tmp_path)["ease"], key=lambda one: float(str(one[1])))
    assert selected(case, "ease") == best[0]


def test_what_has_not_been_selected_is_named(prepared: Path, tmp_path: Path) -> None:
    case = case_of(copied(prepared, tmp_path), NAME)
    with pytest.raises(ConfigError, match="ease: not selected yet"):
        final(case, {"ease"}, [1], silent)
    with pytest.raises(ConfigError, match="dssm: not selected yet"):
        final_config(case, "dssm", 1)
    with pytest.raises(ConfigError, match="wmf: not selected yet"):
        select(case, {"wmf_ridge"}, 1, silent)


def test_a_literal_preset_has_its_learning_rate_searched_alone(prepared: Path) -> None:
    case = case_of(prepared, NAME)

    def space(name: str) -> set[str]:
        return set(model_space(name, case.config(VALIDATION, name)))

    assert space(LITERAL) == {RATE}
    assert space("easyrec-dropoutnet-tuned") > {RATE}


def test_the_originals_rates_end_before_its_loss_leaps(prepared: Path) -> None:
    case = case_of(prepared, NAME)

    def highest(name: str) -> float:
        rates = model_space(name, case.config(VALIDATION, name))[RATE]
        assert isinstance(rates, Span)
        return rates.high

    assert highest(ORIGINAL) < highest("dssm")


def test_the_same_file_is_trained_on_every_split_of_a_content(prepared: Path) -> None:
    def recipe(name: str) -> str:
        config = final_config(case_of(prepared, name), "ours", 1)
        return config.model_dump_json(exclude={"data", "split"})

    names = ("citeulike_cold", "citeulike_warm", "citeulike_aldi")
    assert len({recipe(name) for name in names}) == 1
