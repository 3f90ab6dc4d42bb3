"""Every kind of tower on either side, beside another kind: trained, exported and served."""

from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from examples.synthetic.generate import generate
from export.bundling import export_run
from tests.end_to_end.processes import Served
from tests.once import once
from tests.training.conftest import world_config
from training.config import parse_config
from training.run import run_training
from training.towers import TowerConfig

KINDS = [one.model_fields["kind"].default for one in get_args(get_args(TowerConfig)[0])]
PAIRS = [  # of users, and of items
    pytest.param(user, item, id=f"{user}-{item}")
    for user, item in zip(KINDS, [*KINDS[1:], KINDS[0]], strict=True)
]
CONTENT = {"region": "north", "age": 30}
PREFERENCE = {"recent": ["i0001", "i0002"], "taste": {"art": 2.0}, "click_rate": 0.4}


def tower(kind: str) -> dict[str, Any]:
    """Return a tower whose features' vectors are as wide as any other's: they share tables."""
    return {"kind": kind, "dim": 8} | ({} if kind == "additive" else {"embedding": 8})


def make(root: Path, user: str, item: str) -> None:
    """Train one epoch with these towers, and export `root/made-1`."""
    generate(root / "data", users=50, items=40, exposures=10)
    raw = world_config(root / "data")
    del raw["tower"]
    raw |= {"user_tower": tower(user), "item_tower": tower(item)}
    raw["user"]["preference"]["recent"]["pooling"] = "attention"
    if user == "dat":
        raw["user"]["preference"]["own_id"] = {"kind": "category", "aggregate": "identity"}
    raw["training"] = {"epochs": 1, "batch": 128, "refit": False}
    config = parse_config(raw, root / "train.yaml")
    assert [one.kind for one in config.towers] == [user, item]
    run_training(config, root / "run")
    export_run(root / "run", root / "made-1")


def asked(served: Served, user: dict[str, Any], **options: object) -> dict[str, Any]:
    status, answer = served.ask("POST", "/recall", {"user": user, "k": 1000, **options})
    assert status == 200, answer
    found: dict[str, Any] = answer
    return found


@pytest.mark.parametrize(("user", "item"), PAIRS)
def test_towers_of_two_kinds_answer_for_the_warm_and_for_the_cold(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, user: str, item: str
) -> None:
    root = once(tmp_path_factory, f"{user}-{item}", partial(make, user=user, item=item))
    served = Served(tmp_path / "state", root / "made-1")
    try:
        warm = asked(served, CONTENT | PREFERENCE)
        cold = asked(served, CONTENT)
        told = asked(served, CONTENT | PREFERENCE, cold=True)
        assert (warm["state"], cold["state"], told["state"]) == ("warm", "cold", "cold")
        assert (told["items"], told["scores"]) == (cold["items"], cold["scores"])
        assert warm["scores"] != cold["scores"]
        status, posted = served.ask("POST", "/items", {"id": "new", "tags": ["art"]})
        assert (status, posted["state"]) == (201, "cold")
        assert np.linalg.norm(posted["vector"]) == pytest.approx(1, abs=1e-5)
        assert "new" in asked(served, CONTENT)["items"]
    finally:
        served.kill()
