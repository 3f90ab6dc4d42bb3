from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export.contract.errors import ConfigError
from tests.training.ranker.conftest import ranked_config
from training.prepare import Encoders, Prepared
from training.ranker import BaseConfig, DinConfig
from training.ranker.model import Ranker
from training.ranker.rows import RankerRows
from training.ranker.train import (
    baseline_of,
    exposures,
    new_ranker,
    refit_ranker,
    select_ranker,
    train_epochs,
)
from training.ranker.validate import logits_of, predict, validator

QUIET: Any = lambda step, loss: None  # noqa: E731 - one value for many calls


def trained(prepared: Prepared, rows: RankerRows, **options: Any) -> tuple[Ranker, list[float]]:
    """Train for some epochs with other options, from equal weights and in equal order."""
    config = DinConfig.model_validate({**prepared.config.ranker.model_dump(), **options})  # type: ignore[union-attr]
    ranker = new_ranker(config, prepared)
    losses: list[float] = []
    train_epochs(
        config,
        prepared.config,
        ranker,
        rows,
        config.epochs,
        QUIET,
        lambda epoch, loss: losses.append(loss),
    )
    return ranker.eval(), losses


def test_training_lowers_the_loss(prepared: Prepared, rows: RankerRows) -> None:
    _, losses = trained(
        prepared, rows, epochs=6, learning_rate=0.02, dropout={"user": 0, "item": 0}
    )
    assert len(losses) == 6
    assert losses[-1] < losses[0] - 0.03


@pytest.mark.parametrize(
    "options",
    [
        {"weights": "sum"},
        {"attention": [5]},
        {"hidden": [8, 4]},
        {"dim": 4},
        {"epochs": 1},
        {"batch": 128},
        {"learning_rate": 0.01},
        {"regularise": 0.5},
        {"dropout": {"user": 0.9}},
        {"stale": 0.9},
        {"products": False},
    ],
    ids=str,
)
def test_every_option_changes_what_is_learned(
    prepared: Prepared, rows: RankerRows, options: dict[str, Any]
) -> None:
    few = np.arange(96)
    usual, other = (trained(prepared, rows, **{"epochs": 2, **o})[0] for o in ({}, options))
    mine, theirs = (logits_of(one, rows.batch(few)) for one in (usual, other))
    assert not torch.allclose(mine, theirs)


def test_equal_seeds_give_equal_rankers(prepared: Prepared, rows: RankerRows) -> None:
    one, other = (trained(prepared, rows, epochs=1)[0].state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_weight_of_nought_is_no_row(prepared: Prepared, rows: RankerRows) -> None:
    weight = np.where(rows.is_positive, 1, 0).astype(np.float32)
    clicked = replace(rows, weight=weight)
    ranker, losses = trained(prepared, clicked, epochs=6, learning_rate=0.02)
    assert losses[-1] < 0.2  # nothing says no any more
    assert predict(ranker, rows).min() > 0


def test_the_best_epoch_is_kept(prepared: Prepared, encoders: Encoders) -> None:
    config = prepared.config.ranker
    assert config is not None
    ranker, progress = select_ranker(config, prepared, QUIET)
    figures = validator(config, prepared, encoders)(ranker)
    best = progress.history[progress.best_epoch - 1]
    assert figures["selected"] == pytest.approx(best["selected"]) == progress.best
    assert best["selected"] == max(one["selected"] for one in progress.history)
    assert {"epoch", "loss", "warm", "all"} <= best.keys()


def test_what_validates_is_a_mean_by_slice(prepared: Prepared, encoders: Encoders) -> None:
    config = prepared.config.ranker
    assert config is not None
    figures = validator(config, prepared, encoders)(new_ranker(config, prepared))
    weights = prepared.config.training.select.weights
    there = {name: weight for name, weight in weights.items() if name in figures}
    mean = sum(weight * figures[name] for name, weight in there.items()) / sum(there.values())
    assert figures["selected"] == pytest.approx(mean)


def test_without_both_labels_there_is_nothing_to_learn(
    prepared: Prepared, encoders: Encoders
) -> None:
    rows = prepared.data.interactions
    clicked = replace(rows, label=np.ones_like(rows.label))
    only = replace(prepared, data=replace(prepared.data, interactions=clicked))
    assert prepared.config.ranker is not None
    with pytest.raises(ConfigError, match=r"shown and not clicked \(label 0\)"):
        exposures(only, encoders, prepared.config.ranker)
    with pytest.raises(ConfigError, match="no user with rows of both labels"):
        validator(prepared.config.ranker, only, encoders)


def test_a_refit_runs_the_whole_course_of_the_learning_rate(
    prepared: Prepared, rows: RankerRows
) -> None:
    config = prepared.config.ranker
    assert config is not None
    found = refit_ranker(config, prepared, 1, QUIET).state_dict()
    expected = trained(prepared, rows, epochs=1)[0].state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_the_baseline_has_the_options_of_what_it_stands_beside(world: Path) -> None:
    config = ranked_config(world, weights="sum", regularise=0.1).ranker
    assert config is not None
    beside = baseline_of(config)
    assert isinstance(beside, BaseConfig)
    assert (beside.dim, beside.epochs, beside.regularise) == (8, 3, 0.1)
    assert baseline_of(beside) is None
    without = ranked_config(world, baseline=False).ranker
    assert without is not None
    assert baseline_of(without) is None
