import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
import yaml

from export.contract.errors import ConfigError
from export.contract.run import RunLayout
from export.contract.schema import read_schema
from tests.training.conftest import dat_config, world_config
from training.config import TrainConfig, parse_config
from training.digest import data_digest
from training.run import Reporter, run_training


def configured(
    world: Path, of: Callable[[Path], dict[str, Any]] = world_config, **training: Any
) -> TrainConfig:
    raw = of(world)
    raw["training"] |= {"epochs": 3, **training}
    return parse_config(raw, world / "train.yaml")


def weights(layout: RunLayout) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(layout.weights)
    return found


def equal(one: RunLayout, other: RunLayout) -> bool:
    ours, theirs = weights(one), weights(other)
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def metrics(layout: RunLayout) -> Any:
    return json.loads(layout.metrics.read_text(encoding="utf-8"))


def test_a_run_folder_is_complete(trained: RunLayout, world: Path) -> None:
    members = [trained.config, trained.schema, trained.weights, trained.checkpoint, trained.metrics]
    members += [of(side) for side in ("user", "item") for of in (trained.encoder, trained.tower)]
    for path in (*members, trained.users, trained.items, trained.log):
        assert path.exists(), path.name
    assert parse_config(yaml.safe_load(trained.config.read_text()), trained.config) == parse_config(
        world_config(world), world / "train.yaml"
    )
    for name, path in (("users", trained.users), ("items", trained.items)):
        assert len(pq.read_table(path)) == len(pq.read_table(world / f"{name}.parquet"))
    found = metrics(trained)
    assert len(found["epochs"]) == 2
    assert found["epochs"][found["selected_epoch"] - 1]["selected"] == found["selected"]
    assert found["rows"]["train"] > 0
    assert any(trained.log.iterdir())


def test_a_run_and_its_data_may_move_together(
    trained: RunLayout, world: Path, tmp_path: Path
) -> None:
    near = os.path.relpath(trained.folder, world.parent)
    shutil.copytree(world, tmp_path / "a" / world.name)
    moved = RunLayout(shutil.copytree(trained.folder, tmp_path / "a" / near))
    raw = yaml.safe_load(moved.config.read_text())
    config = parse_config(raw, moved.config)
    assert config.data.folder == tmp_path / "a" / world.name
    assert metrics(moved)["data"] == world.name
    assert metrics(moved)["data_digest"] == data_digest(config)


def test_item_extras_are_those_of_what_training_knew(trained: RunLayout, world: Path) -> None:
    items = pq.read_table(trained.items).to_pydict()
    cold = pq.read_table(world / "cold.parquet").to_pydict()
    cold_items = {i for i, kind in zip(cold["id"], cold["kind"], strict=True) if kind == "item"}
    assert sum(items["popularity"]) == pytest.approx(1)
    for item, popularity, is_trained in zip(
        items["item_id"], items["popularity"], items["trained"], strict=True
    ):
        assert not (item in cold_items and (is_trained or popularity))


def test_equal_configurations_give_equal_runs(
    trained: RunLayout, world: Path, tmp_path: Path
) -> None:
    config = parse_config(world_config(world), world / "train.yaml")
    again = run_training(config, tmp_path / "again")
    assert equal(trained, again)
    assert metrics(trained)["epochs"] == metrics(again)["epochs"]


class Crash(Exception):
    pass


def crash_after(epoch: int) -> Reporter:
    def on_epoch(figures: dict[str, Any]) -> None:
        if figures["epoch"] == epoch:
            raise Crash

    return Reporter(epoch=on_epoch)


@pytest.mark.parametrize(  # before and after the last one
    ("epoch", "raw"), [(1, world_config), (3, world_config), (1, dat_config)]
)
def test_a_resumed_run_ends_with_the_same_numbers(
    world: Path, tmp_path: Path, epoch: int, raw: Callable[[Path], dict[str, Any]]
) -> None:
    config = configured(world, raw)
    whole = run_training(config, tmp_path / "whole")
    with pytest.raises(Crash):
        run_training(config, tmp_path / "stopped", reporter=crash_after(epoch))
    assert not RunLayout(tmp_path / "stopped").weights.exists()
    resumed = run_training(config, tmp_path / "stopped", resume=True)
    assert metrics(whole)["epochs"] == metrics(resumed)["epochs"]
    assert equal(whole, resumed)


def test_resuming_what_never_began_begins_it(
    trained: RunLayout, world: Path, tmp_path: Path
) -> None:
    config = parse_config(world_config(world), world / "train.yaml")
    assert equal(trained, run_training(config, tmp_path / "new", resume=True))


def test_a_folder_that_holds_a_run_is_refused(trained: RunLayout, world: Path) -> None:
    before = trained.weights.read_bytes()
    with pytest.raises(ConfigError, match="holds a run already"):
        run_training(configured(world), trained.folder)
    assert trained.weights.read_bytes() == before


def test_resuming_with_another_configuration_is_refused(trained: RunLayout, world: Path) -> None:
    before = trained.config.read_bytes()
    with pytest.raises(ConfigError, match="the configuration the run began with"):
        run_training(configured(world, seed=2), trained.folder, resume=True)
    assert trained.config.read_bytes() == before


def test_resuming_on_other_data_is_refused(world: Path, tmp_path: Path) -> None:
    data, out = shutil.copytree(world, tmp_path / "world"), tmp_path / "run"
    with pytest.raises(Crash):
        run_training(configured(data), out, reporter=crash_after(1))
    items = pq.read_table(data / "items.parquet")
    pq.write_table(items.take(list(reversed(range(len(items))))), data / "items.parquet")
    before = RunLayout(out).checkpoint.read_bytes()
    with pytest.raises(ConfigError, match="the data the run began with"):
        run_training(configured(data), out, resume=True)
    assert RunLayout(out).checkpoint.read_bytes() == before


def test_a_refit_learns_from_the_validation_rows_too(world: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    runs = {
        refit: run_training(
            configured(world, refit=refit), tmp_path / str(refit), reporter=Reporter(notes.append)
        )
        for refit in (False, True)
    }
    plain, refitted = (metrics(runs[refit]) for refit in (False, True))
    assert plain["epochs"] == refitted["epochs"]
    assert plain["refit_losses"] == []
    assert len(refitted["refit_losses"]) == refitted["selected_epoch"]
    items = {refit: set(read_schema(run.schema).tables["item"]) for refit, run in runs.items()}
    assert items[False] < items[True]  # items that only validation rows speak of
    assert any("with the validation rows" in note for note in notes)


def test_without_a_refit_the_selected_weights_are_kept(world: Path, tmp_path: Path) -> None:
    layout = run_training(configured(world, refit=False), tmp_path / "run")
    kept = torch.load(layout.checkpoint, weights_only=False)["progress"]["best_weights"]
    assert all(torch.equal(tensor, kept[name]) for name, tensor in weights(layout).items())


def test_a_reporter_is_told_of_steps_and_epochs(world: Path, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    epochs: list[int] = []
    reporter = Reporter(
        step=lambda step, total, loss: steps.append((step, total)),
        epoch=lambda figures: epochs.append(figures["epoch"]),
    )
    run_training(configured(world, refit=False, patience=9), tmp_path / "run", reporter=reporter)
    assert epochs == [1, 2, 3]
    assert [step for step, _ in steps] == list(range(1, steps[0][1] + 1))


def test_selecting_by_a_slice_without_positives_is_a_users_mistake(
    world: Path, tmp_path: Path
) -> None:
    raw = world_config(world)
    raw["split"]["validation"] = {"items": 0}
    raw["training"]["select"] = {"warm": 0, "cold_item": 1, "cold_user": 0}
    with pytest.raises(ConfigError, match=r"training\.select: .*split\.validation"):
        run_training(parse_config(raw, world / "train.yaml"), tmp_path / "run")
