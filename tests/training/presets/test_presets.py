from pathlib import Path
from typing import Any

import pytest

from export.contract.errors import ConfigError
from tests.training.conftest import world_config
from training.config import parse_config, read_config
from training.presets import MODEL, OPTIMISER, TOWERS, names, read_preset, with_preset


@pytest.fixture
def raw(world: Path) -> dict[str, Any]:
    return world_config(world)


@pytest.mark.parametrize("name", names())
def test_every_preset_makes_a_configuration(name: str, raw: dict[str, Any], world: Path) -> None:
    parse_config(with_preset(raw, name), world / "train.yaml")


@pytest.mark.parametrize("name", names())
def test_a_preset_says_what_the_model_is_and_leaves_the_budget_alone(name: str) -> None:
    preset = read_preset(name)
    assert preset.keys() <= {*MODEL, *TOWERS, "training", "factors", "user", "item"}
    assert preset.get("training", {}).keys() <= set(OPTIMISER)


def test_presets_are_pairwise_different_models() -> None:
    documents = [read_preset(name) for name in names()]
    assert all(one not in documents[:place] for place, one in enumerate(documents))


def test_model_is_the_presets_and_everything_else_stays(raw: dict[str, Any]) -> None:
    raw["training"] |= {"seed": 7, "epochs": 4, "learning_rate": 0.5}
    raw |= {"user_tower": {"kind": "additive", "dim": 16, "hidden": [4]}, "dropout": {"user": 0.9}}
    found, preset = with_preset(raw, "easyrec-dropoutnet"), read_preset("easyrec-dropoutnet")
    assert {key: found.get(key) for key in (*MODEL, *TOWERS)} == {
        key: preset.get(key) for key in (*MODEL, *TOWERS)
    }
    assert {key: found[key] for key in ("data", "user", "item", "split")} == {
        key: raw[key] for key in ("data", "user", "item", "split")
    }
    assert found["training"] == {"batch": 256, "seed": 7, "epochs": 4}
    assert raw["training"]["learning_rate"] == 0.5  # what came is not changed


def test_features_a_preset_needs_join_those_there_are(
    raw: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = {"kind": "number", "aggregate": "rate", "smoothing": 5}
    new = {"kind": "number", "aggregate": "count"}
    needed = {"user": {"preference": {"click_rate": new, "clicks": new}, "content": {"age": new}}}
    monkeypatch.setattr("training.presets.read_preset", lambda name: needed)
    del raw["user"]["content"]
    found = with_preset(raw, "any")
    assert found["user"]["preference"]["click_rate"] == mine
    assert found["user"]["preference"]["clicks"] == new
    assert found["user"]["content"] == {"age": new}


def test_factors_a_preset_needs_are_those_there_are_or_its_own(raw: dict[str, Any]) -> None:
    own = read_preset("dropoutnet-original")["factors"]
    assert with_preset(raw, "dropoutnet-original")["factors"] == own
    mine = with_preset(raw | {"factors": {"size": 3}}, "dropoutnet-original")
    assert mine["factors"] == {"size": 3} != own


def test_the_originals_factors_are_not_narrowed_on_their_way_into_the_towers() -> None:
    preset = read_preset("dropoutnet-original")
    assert preset["tower"]["embedding"] >= preset["factors"]["size"]


def test_an_unknown_preset_is_refused_with_those_there_are(world_yaml: Path) -> None:
    with pytest.raises(ConfigError, match=r"preset 'dssn': expected one of .*ours"):
        read_config(world_yaml, preset="dssn")


def test_a_value_that_is_set_wins_over_the_presets(world_yaml: Path) -> None:
    found = read_config(world_yaml, ["tower.dim=24"], preset="ours")
    assert found.towers[0].dim == 24
