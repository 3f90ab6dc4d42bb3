import json
import shutil
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet
import pytest
import torch

import firstsight
from export.contract.ranker import RankerFacts
from export.contract.run import RunLayout
from tests.training.conftest import world_config
from tests.training.ranker.conftest import ranked_config
from training.checkpoint import resolved
from training.config import parse_config
from training.run import Reporter, run_training


def facts(path: Path) -> RankerFacts:
    return RankerFacts.model_validate_json(path.read_bytes())


def test_a_run_holds_the_ranker_and_its_baseline(ranked: RunLayout) -> None:
    for layout, kind in ((ranked.ranker, "din"), (ranked.ranker_baseline, "base")):
        found = facts(layout.facts)
        assert found == RankerFacts(kind=kind, history="recent", n=10, dim=8, width=16)
        for path in (layout.code, layout.score, layout.weights):
            assert path.is_file()
    metrics = json.loads(ranked.metrics.read_text())
    for name, kind in (("ranker", "din"), ("ranker_baseline", "base")):
        assert metrics[name]["kind"] == kind
        assert len(metrics[name]["epochs"]) == 3
        best = metrics[name]["epochs"][metrics[name]["selected_epoch"] - 1]
        assert best["selected"] == metrics[name]["selected"]


def test_a_run_without_a_ranker_holds_none(trained: RunLayout) -> None:
    assert not trained.ranker.folder.exists()
    assert "ranker" not in json.loads(trained.metrics.read_text())


def test_towers_are_the_same_with_and_without_a_ranker(
    world: Path, ranked: RunLayout, tmp_path: Path
) -> None:
    raw = world_config(world)
    raw["training"] |= {"epochs": 1}
    plain = run_training(parse_config(raw, world / "train.yaml"), tmp_path / "plain")
    one, other = (torch.load(layout.weights) for layout in (plain, ranked))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_tells_what_it_selected_and_its_steps(world: Path, tmp_path: Path) -> None:
    told: list[str] = []
    steps: list[tuple[int, int]] = []
    config = ranked_config(world, kind="base", epochs=1, batch=1024)
    config = config.model_copy(
        update={"training": config.training.model_copy(update={"refit": False})}
    )
    reporter = Reporter(note=told.append, step=lambda n, of, loss: steps.append((n, of)))
    layout = run_training(config, tmp_path / "run", reporter=reporter)
    assert any(one.startswith("ranker base: best epoch 1: GAUC 0.") for one in told)
    assert (
        steps[-1][0]
        == steps[-1][1]
        == -(-json.loads(layout.metrics.read_text())["rows"]["train"] // 1024)
    )
    assert not layout.ranker_baseline.folder.exists()


def test_a_resumed_run_has_the_same_ranker(world: Path, ranked: RunLayout, tmp_path: Path) -> None:
    config = ranked_config(world)
    run_training(config, tmp_path / "run")
    again = run_training(config, tmp_path / "run", resume=True)
    one, other = (torch.load(layout.ranker.weights) for layout in (again, ranked))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_rows_that_a_ranker_cannot_learn_from_are_told_before_any_training(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(world, tmp_path / "data")
    path = tmp_path / "data" / "interactions.parquet"
    rows = pyarrow.parquet.read_table(path)
    pyarrow.parquet.write_table(rows.filter(pc.equal(rows["label"], 1)), path)
    config = ranked_config(tmp_path / "data")
    yaml_path = tmp_path / "train.yaml"
    yaml_path.write_text(resolved(config, tmp_path))
    for command in (["validate", str(yaml_path)], ["train", str(yaml_path), "--out", "run"]):
        assert firstsight.run(command) == 2
        told = capsys.readouterr()
        assert "shown and not clicked (label 0)" in told.err
        assert "epoch" not in told.out


@pytest.mark.parametrize("name", ["facts", "code", "score", "weights"])
def test_members_lie_in_the_rankers_own_folder(name: str, ranked: RunLayout) -> None:
    assert getattr(ranked.ranker, name).parent == ranked.folder / "ranker"
