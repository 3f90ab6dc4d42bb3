"""The baselines of the KuaiRand example differ from its own configuration in what they say."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from export.contract.features import Feature
from firstsight import DONE, run
from training.config import TrainConfig, read_config

FOLDER = Path(__file__).parents[2] / "examples" / "kuairand"
NAMES = ("content_only", "easyrec")


@pytest.fixture(scope="module")
def ours() -> TrainConfig:
    return read_config(FOLDER / "train.yaml")


def baseline(name: str) -> TrainConfig:
    return read_config(FOLDER / "baselines" / f"{name}.yaml")


def read(group: Mapping[str, Feature]) -> dict[str, dict[str, Any]]:
    """Return what a group reads; how rare a word may be is a matter of training."""
    return {name: feature.model_dump(exclude={"min_count"}) for name, feature in group.items()}


@pytest.mark.parametrize("name", NAMES)
def test_a_baseline_is_valid_on_the_shipped_data(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = FOLDER / "baselines" / f"{name}.yaml"
    assert run(["validate", str(path)]) == DONE
    assert capsys.readouterr().out.endswith(f"{path}: good\n")


@pytest.mark.parametrize("name", NAMES)
def test_a_baseline_reads_and_splits_as_ours_does(name: str, ours: TrainConfig) -> None:
    found = baseline(name)
    assert (found.data, found.split) == (ours.data, ours.split)
    for one, other in ((found.user, ours.user), (found.item, ours.item)):
        assert read(one.content) == read(other.content)
        assert read(one.context) == read(other.context)
    assert found.towers[0].dim == ours.towers[0].dim


def test_content_only_is_ours_without_preference(ours: TrainConfig) -> None:
    nothing: dict[str, Any] = {"preference": {}, "present_when": None}
    user, item = (side.model_copy(update=nothing) for side in (ours.user, ours.item))
    assert baseline("content_only") == ours.model_copy(update={"user": user, "item": item})


def test_easyrec_is_its_literal_preset_on_our_features_and_counts(ours: TrainConfig) -> None:
    found = baseline("easyrec")
    assert read(found.user.preference) == read(ours.user.preference)
    theirs, own = read(found.item.preference), read(ours.item.preference)
    assert {name: theirs[name] for name in own} == own
    assert sorted(theirs.keys() - own.keys()) == ["long_views", "shown"]
    (loss,), (negatives,) = found.losses, found.negatives
    literal = {"gamma": 1, "t": 1, "margin": 0, "mask_accidental_hits": False}
    assert loss.kind == "sv_softmax"
    assert literal.items() <= loss.model_dump().items()
    assert negatives.model_dump() == {"kind": "roll", "n": 4, "exposures": False}
    assert found.dropout.model_dump() == {"user": 0, "item": 0.5, "column": 0, "unknown": 0}
    tower = found.towers[0].model_dump()
    assert {"kind": "dropoutnet", "absent": "zeros", "rescale": True}.items() <= tower.items()
