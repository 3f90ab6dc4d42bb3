"""A world with rankers: prepared to learn from, and a run trained on it."""

from pathlib import Path
from typing import Any

import pytest

from export.contract.run import RunLayout
from tests.once import once
from tests.training.conftest import world_config
from training.config import TrainConfig, parse_config
from training.prepare import Encoders, Prepared, make_encoders, prepare
from training.ranker.rows import RankerRows
from training.run import run_training

RANKER: dict[str, Any] = {"kind": "din", "dim": 8, "hidden": [16], "epochs": 3, "batch": 256}


def ranked_config(world: Path, **ranker: Any) -> TrainConfig:
    """Return the configuration of a run with a ranker."""
    raw = world_config(world)
    raw["training"] |= {"epochs": 1}
    return parse_config({**raw, "ranker": {**RANKER, **ranker}}, world / "train.yaml")


@pytest.fixture(scope="session")
def prepared(world: Path) -> Prepared:
    return prepare(ranked_config(world))


@pytest.fixture(scope="session")
def encoders(prepared: Prepared) -> Encoders:
    return make_encoders(prepared)


@pytest.fixture(scope="session")
def rows(prepared: Prepared, encoders: Encoders) -> RankerRows:
    """The train rows, clicked and not."""
    return RankerRows.of(prepared, encoders, "recent", prepared.log.is_train.nonzero()[0])


@pytest.fixture(scope="session")
def ranked(world: Path, tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    """A run with a ranker and its baseline that nobody may change."""
    config = ranked_config(world)
    return RunLayout(once(tmp_path_factory, "ranked-run", lambda out: run_training(config, out)))
