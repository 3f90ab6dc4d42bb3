"""One synthetic world, one run trained on it and its bundle, for all tests of this room."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from examples.synthetic.generate import generate
from export.bundling import export_run
from export.contract.run import RunLayout
from tests.once import once
from training.config import parse_config
from training.run import run_training


def world_config(folder: Path) -> dict[str, Any]:
    """Return the raw configuration of a run on a generated world."""
    return {
        "data": {"folder": str(folder)},
        "user": {
            "content": {"region": {"kind": "category"}, "age": {"kind": "number"}},
            "context": {"tab": {"kind": "category"}},
            "preference": {
                "recent": {"kind": "sequence", "aggregate": "last", "n": 10, "table": "item"},
                "taste": {"kind": "tags", "aggregate": "profile", "of": "tags", "table": "tag"},
                "makers": {"kind": "tags", "aggregate": "profile", "of": "maker", "table": "maker"},
                "click_rate": {"kind": "number", "aggregate": "rate", "smoothing": 5},
            },
        },
        "item": {
            "content": {
                "tags": {"kind": "tags", "table": "tag"},
                "maker": {"kind": "category", "table": "maker"},
                "length_s": {"kind": "number", "buckets": 4},
            },
            "preference": {
                "own_id": {"kind": "category", "aggregate": "identity", "table": "item"},
                "shown": {"kind": "number", "aggregate": "count", "log1p": True},
                "clicks_7d": {
                    "kind": "number",
                    "aggregate": "count",
                    "where": {"label": 1},
                    "window": "7d",
                },
            },
        },
        "split": {"kind": "given", "cold": "cold.parquet"},
        "tower": {"kind": "additive", "dim": 16},
        "losses": [{"kind": "in_batch_softmax"}],
        "negatives": [{"kind": "in_batch"}],
        "training": {"epochs": 2, "batch": 256, "learning_rate": 0.01},
    }


def dat_config(folder: Path) -> dict[str, Any]:
    """Return the same with the dual augmented tower and its losses."""
    raw = world_config(folder)
    for side, name in (("user", "own"), ("item", "own_id")):
        own = {"kind": "category", "aggregate": "identity", "dim": 16}
        raw[side]["preference"][name] = own
    raw["tower"] = {"kind": "dat", "dim": 16, "embedding": 8, "hidden": [32]}
    raw["losses"] += [{"kind": "mimic"}, {"kind": "category_alignment", "category": "maker"}]
    return raw


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder: 160 users, 120 items, some of both cold."""
    return once(
        tmp_path_factory,
        "world",
        lambda folder: generate(folder, users=160, items=120, exposures=20, seed=1),
    )


@pytest.fixture(scope="session")
def world_yaml(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the YAML of a run on the world."""
    text = yaml.safe_dump(world_config(world))
    return once(tmp_path_factory, "world.yaml", lambda path: path.write_text(text, "utf-8"))


@pytest.fixture(scope="session")
def trained(world: Path, tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    """Return a run trained on the world."""
    config = parse_config(world_config(world), world / "train.yaml")
    return RunLayout(once(tmp_path_factory, "run", lambda out: run_training(config, out)))


@pytest.fixture(scope="session")
def bundle(trained: RunLayout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bundle of that run."""
    return once(tmp_path_factory, "bundle", lambda out: export_run(trained.folder, out))
