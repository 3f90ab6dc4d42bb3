import shutil
from pathlib import Path

import pytest

from benchmarks.quality.case import Case
from benchmarks.quality.final import final
from benchmarks.quality.models import final_config, select_model
from benchmarks.quality.result import Result
from benchmarks.quality.select import select
from benchmarks.quality.table import Scored, scored
from export.contract.errors import ConfigError
from tests.benchmarks.quality.conftest import case_of
from training.search import Values

FACTORS = {"size": 4, "alpha": 10.0, "regularization": 1.0, "iterations": 3}


def silent(text: str) -> None:
    """Tell nobody."""


def no_others(name: str) -> Values:
    raise AssertionError(f"asked for {name}")


def test_ours_and_a_selected_preset_are_trained_measured_and_not_trained_again(
    prepared: Path, tmp_path: Path
) -> None:
    shutil.copytree(prepared / "citeulike_cold", tmp_path / "citeulike_cold")
    case = case_of(tmp_path, "citeulike_cold", "titles")
    select_model(case, "dssm", 1, no_others, silent)
    final(case, {"ours", "dssm"}, [1], silent)
    ours, dssm = (Result.read(case.finals / f"{name}-1.json") for name in ("ours", "dssm"))
    for one in (ours, dssm):
        assert one.figures["cold_item"]["users"] == dssm.figures["cold_item"]["users"]
        assert 0 < one.figures["cold_item"]["recall@100"] <= 1  # type: ignore[operator]
    assert ours.figures != dssm.figures
    told: list[str] = []
    final(case, {"ours", "dssm"}, [1], told.append)
    assert told == []


def test_the_originals_factors_are_those_of_the_tuned_wmf(prepared: Path, tmp_path: Path) -> None:
    shutil.copytree(prepared / "citeulike_cold", tmp_path / "citeulike_cold")
    case = case_of(tmp_path, "citeulike_cold", "titles")
    told: list[str] = []
    select_model(case, "dropoutnet-original", 1, lambda name: FACTORS, told.append)
    assert any("by 4 numbers" in one for one in told)


def test_presets_of_the_warm_fold_are_those_selected_on_the_cold_fold(
    prepared: Path, tmp_path: Path
) -> None:
    for name in ("citeulike_cold", "citeulike_warm"):
        shutil.copytree(prepared / name, tmp_path / name)
    cold, warm = (case_of(tmp_path, f"citeulike_{one}") for one in ("cold", "warm"))
    with pytest.raises(ConfigError, match="not selected yet"):
        final(warm, {"dssm"}, [1], silent)
    select(cold, {"dssm"}, 1, silent)
    told: list[str] = []
    select(warm, {"dssm"}, 1, told.append)
    assert told == [f"{warm.name}: dssm: as selected on citeulike_cold"]
    mine, other = (final_config(one, "dssm", 1) for one in (warm, cold))
    assert mine.losses == other.losses
    assert mine.training == other.training
    assert mine.data.folder == warm.test.resolve()
    (found,) = (one for one in scored_after(warm) if one.name == "dssm")
    assert found.trials == 1
    assert found.values("warm", "recall@20")


def scored_after(case: Case) -> list[Scored]:
    final(case, {"dssm"}, [1], silent)
    return scored(case)
