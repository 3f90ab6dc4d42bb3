from pathlib import Path
from typing import Any

import pytest

from export.contract.errors import ConfigError
from tests.training.conftest import world_config
from training.config import TrainConfig, parse_config


def config(ranker: dict[str, Any], **sides: Any) -> TrainConfig:
    raw = {**world_config(Path("data")), "ranker": ranker, **sides}
    return parse_config(raw, Path("train.yaml"))


def refused(ranker: dict[str, Any], **sides: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        config(ranker, **sides)
    return str(caught.value)


def test_without_a_ranker_none_is_trained() -> None:
    assert parse_config(world_config(Path("data")), Path("train.yaml")).ranker is None


def test_an_option_misspelt_is_named() -> None:
    assert "ranker.din.atention: unknown key" in refused({"kind": "din", "atention": [4]})
    assert "ranker.base.weights: unknown key" in refused({"kind": "base", "weights": "sum"})
    assert "'dinn'" in refused({"kind": "dinn"})


def test_a_history_is_a_sequence_of_items_met() -> None:
    text = refused({"kind": "din", "history": "taste"})
    assert "ranker.history: got 'taste', expected a preference feature" in text
    assert "aggregate last (recent)" in text
    without = {"content": {"age": {"kind": "number"}}}
    assert "there is none" in refused({"kind": "din"}, user=without)


def test_of_two_histories_one_is_named() -> None:
    user = world_config(Path("data"))["user"]
    user["preference"]["seen"] = {"kind": "sequence", "aggregate": "last", "n": 5, "table": "item"}
    assert "(recent, seen)" in refused({"kind": "din"}, user=user)
    found = config({"kind": "din", "history": "seen"}, user=user).ranker
    assert found is not None
    assert found.history == "seen"


def test_there_is_something_beside_the_history_and_something_to_tell_items_by() -> None:
    recent = world_config(Path("data"))["user"]["preference"]["recent"]
    alone = {"preference": {"recent": recent}}
    assert "a user feature beside the history 'recent'" in refused({"kind": "din"}, user=alone)
    counted = {"preference": {"shown": {"kind": "number", "aggregate": "count"}}}
    user = {"content": {"age": {"kind": "number"}}, "preference": {"recent": recent}}
    text = refused({"kind": "din"}, item=counted, user=user)
    assert "an item feature that stays as it is" in text


def test_a_shared_table_has_one_width_in_a_ranker_too() -> None:
    raw = world_config(Path("data"))
    raw["user"]["preference"]["taste"]["dim"] = 16  # as wide as the tower's vectors
    assert config({"kind": "din", "dim": 16}, user=raw["user"]).ranker is not None
    text = refused({"kind": "din", "dim": 8}, user=raw["user"])
    assert "ranker.dim" in text
    assert "user.taste" in text
    assert "item.tags" in text
