"""Every loss, kind of negatives and tower, alone, finds on a known world what random does not."""

from itertools import combinations
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray

from examples.synthetic.truth import measure
from tests.training.conftest import dat_config, world_config
from training.baselines import random_scores
from training.config import parse_config
from training.loop import Progress, optimiser, run_epoch
from training.metrics import dot_scores
from training.model import TwoTower
from training.prepare import SIDES, make_batches, make_encoders, prepare, vectors
from training.towers import TowerConfig

IN_BATCH = [{"kind": "in_batch"}]
SOFTMAX = [{"kind": "in_batch_softmax"}]
GIVEN = {"kind": "given", "file": "negatives.parquet", "n": 20}
BY_LOSS: dict[str, dict[str, Any]] = {
    "in_batch_softmax": {"losses": SOFTMAX},
    "sv_softmax": {"losses": [{"kind": "sv_softmax"}]},
    "sv_softmax of few": {"losses": [{"kind": "sv_softmax", "negatives": 8}]},
    "pairwise": {"losses": [{"kind": "pairwise"}]},
    "pointwise": {"losses": [{"kind": "pointwise"}]},
    "a weighted list": {
        "losses": [*SOFTMAX, {"kind": "pairwise", "weight": 0.5}, {"kind": "pointwise"}]
    },
}
BY_NEGATIVES: dict[str, dict[str, Any]] = {
    "roll": {"negatives": [{"kind": "roll", "n": 8}]},
    "mixed": {"negatives": [{"kind": "mixed", "n": 64}]},
    "hard": {"negatives": [{"kind": "hard", "n": 4}]},
    "given": {"negatives": [GIVEN]},
    "all together": {"negatives": [*IN_BATCH, {"kind": "mixed", "n": 32}, {"kind": "hard"}, GIVEN]},
}
BY_TOWER: dict[str, dict[str, Any]] = {
    "dropoutnet": {"tower": {"kind": "dropoutnet", "dim": 16}},
    "dropoutnet as EasyRec has it": {
        "tower": {"kind": "dropoutnet", "dim": 16, "absent": "zeros", "rescale": True}
    },
    "dat": dat_config(Path()),
    "mlp": {"tower": {"kind": "mlp", "dim": 16}},
    "senet": {"tower": {"kind": "senet", "dim": 16}},
    "parallel": {"tower": {"kind": "parallel", "dim": 16}},
    "parallel as EasyRec has it": {
        "tower": {"kind": "parallel", "absent": "zeros", "projection": False},
        "similarity": "inner_product",
        "losses": [{"kind": "in_batch_softmax", "temperature": 1}],
    },
}
KINDS = [one.model_fields["kind"].default for one in get_args(get_args(TowerConfig)[0])]
BY_PRODUCT: dict[str, dict[str, Any]] = {
    f"{loss['kind']} of inner products": {"losses": [loss], "similarity": "inner_product"}
    for loss in (
        {"kind": "in_batch_softmax", "temperature": 1},
        {"kind": "sv_softmax", "gamma": 1},
        {"kind": "pairwise", "temperature": 1},
        {"kind": "pointwise", "scale": 1},
    )
}


@pytest.fixture(scope="module")
def folder(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the world with a file of negatives: every user with 30 items drawn at random."""
    copy = tmp_path_factory.mktemp("with-negatives")
    for path in world.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    users, items = (
        pq.read_table(world / f"{side}s.parquet")[f"{side}_id"].to_pylist() for side in SIDES
    )
    drawn = np.random.default_rng(0).choice(items, size=(len(users), 30)).reshape(-1)
    table = pa.table({"user_id": np.repeat(users, 30), "item_id": drawn})
    pq.write_table(table, copy / "negatives.parquet")
    return copy


def trained(folder: Path, changes: dict[str, Any], epochs: int) -> list[NDArray[np.float32]]:
    """Train and return the vectors of all users and of all items."""
    raw = world_config(folder) | {k: v for k, v in changes.items() if k != "data"}
    raw["training"] |= {"epochs": 6}
    config = parse_config(raw, folder / "train.yaml")
    prepared = prepare(config)
    encoders = make_encoders(prepared)
    batches = make_batches(prepared, encoders)
    torch.manual_seed(1)
    model, progress = TwoTower(config, prepared.schema), Progress()
    optimizer = optimiser(config, model)
    for _ in range(epochs):
        run_epoch(config, model, optimizer, batches, progress, lambda step, loss: None)
    return [vectors(model.side(side), encoders[side].entities()) for side in SIDES]


def recall(folder: Path, changes: dict[str, Any], epochs: int = 6) -> dict[str, float]:
    """Train and return recall@5 by slice."""
    found = measure(folder, dot_scores(*trained(folder, changes, epochs)), (5,))
    return {name: one.recall[5] for name, one in found.items()}


@pytest.fixture(scope="module")
def untrained(folder: Path) -> dict[str, float]:
    """What the tables that both sides share find before the first step."""
    return recall(folder, {}, epochs=0)


@pytest.mark.parametrize("name", [*BY_LOSS, *BY_NEGATIVES, *BY_PRODUCT])
def test_it_learns_what_the_world_is_like(
    folder: Path, untrained: dict[str, float], name: str
) -> None:
    found = recall(folder, (BY_LOSS | BY_NEGATIVES | BY_PRODUCT)[name])
    chance = measure(folder, random_scores(120), (5,))
    assert found["warm"] > 3 * chance["warm"].recall[5]
    assert found["warm"] > 1.5 * untrained["warm"]
    assert found["cold_item"] > 1.6 * chance["cold_item"].recall[5]
    assert found["cold_item"] > 1.1 * untrained["cold_item"]


@pytest.mark.parametrize("name", BY_TOWER)
def test_a_tower_that_begins_with_nothing_learns_it_too(folder: Path, name: str) -> None:
    found = recall(folder, BY_TOWER[name], epochs=25)
    chance = measure(folder, random_scores(120), (5,))
    assert found["warm"] > 3 * chance["warm"].recall[5]
    assert found["cold_item"] > 1.6 * chance["cold_item"].recall[5]


def attending(folder: Path) -> dict[str, Any]:
    """Return the features of a user whose bags are pooled by attention."""
    user: dict[str, Any] = world_config(folder)["user"]
    for name in ("recent", "taste", "makers"):
        user["preference"][name]["pooling"] = "attention"
    return user


def test_attention_learns_what_the_world_is_like(folder: Path, untrained: dict[str, float]) -> None:
    found = recall(folder, {"user": attending(folder)})
    assert found["warm"] > 1.5 * untrained["warm"]
    assert found["cold_item"] > 1.1 * untrained["cold_item"]


def test_every_kind_of_tower_gives_vectors_and_scores_of_its_own(folder: Path) -> None:
    """After one epoch on the same data from the same seed; the same kind gives the same twice."""
    config = dat_config(folder)  # some ask for the own id
    features: dict[str, Any] = {side: config[side] for side in SIDES}

    def by(kind: str) -> list[NDArray[np.float32]]:
        changes = {**features, "tower": {"kind": kind, "dim": 16}}
        users, items = trained(folder, changes, epochs=1)
        return [users, items, users @ items.T]

    found = {kind: by(kind) for kind in KINDS}
    assert all(np.array_equal(*pair) for pair in zip(by("mlp"), found["mlp"], strict=True))
    for one, other in combinations(KINDS, 2):
        for mine, theirs in zip(found[one], found[other], strict=True):
            assert np.abs(mine - theirs).max() > 0.05, (one, other)


def test_attention_gives_vectors_of_its_own(folder: Path) -> None:
    plain, attended = (
        trained(folder, changes, epochs=1)[0] for changes in ({}, {"user": attending(folder)})
    )
    assert np.abs(plain - attended).max() > 1e-3
