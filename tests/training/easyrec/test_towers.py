import re
from pathlib import Path
from typing import Any

import pytest

from tests.training.easyrec.made import easyrec, plan_of, refused

USER_TOWER = "user_tower { hidden_units: [16, 8] use_bn: false }"


def towers(text: str, folder: Path) -> dict[str, dict[str, Any]]:
    plan = plan_of(text, folder)
    assert refused(plan) == []
    return {"user": plan.towers["user"], "item": plan.towers["item"]}


def test_dropoutnet_has_its_three_networks(tmp_path: Path) -> None:
    found = towers(easyrec(), tmp_path)
    assert found["user"] == {
        "kind": "dropoutnet",
        "dim": 8,
        "hidden": [16],
        "content": [16],
        "preference": [24],
        "batch_norm": True,
        "tower_batch_norm": False,
        "embedding": 8,
    }
    assert found["item"]["preference"] == []  # hidden_units: [0] passes on what comes in


def test_batch_norm_is_on_unless_said_otherwise(tmp_path: Path) -> None:
    found = towers(easyrec().replace("use_bn: false", ""), tmp_path)
    assert found["user"]["batch_norm"] is True
    assert "tower_batch_norm" not in found["user"]


def test_neuron_dropout_is_one_rate(tmp_path: Path) -> None:
    text = easyrec("DSSM").replace("[16, 8]", "[16, 8] dropout_ratio: [0.1, 0.1]")
    assert towers(text, tmp_path)["user"]["dropout"] == 0.1


@pytest.mark.parametrize("kind", ["DropoutNet", "DSSM", "DSSM_SENet", "DAT"])
@pytest.mark.parametrize(
    "spelt", ["tanh", "Tanh", "tf.tanh", "tf.nn.tanh", "tf.math.tanh", "tensorflow.nn.tanh"]
)
def test_tanh_is_tanh_in_every_spelling(kind: str, spelt: str, tmp_path: Path) -> None:
    said = f" activation: '{spelt}'"
    text = re.sub(r"(hidden_units: (\[16.*?\]|24))", rf"\1{said}", easyrec(kind))
    assert {one["activation"] for one in towers(text, tmp_path).values()} == {"tanh"}


@pytest.mark.parametrize("spelt", ["ReLU", "tf.nn.relu", "tensorflow.nn.relu"])
def test_relu_is_relu_in_every_spelling(spelt: str, tmp_path: Path) -> None:
    text = easyrec("DSSM").replace("[16, 8]", f"[16, 8] activation: '{spelt}'")
    assert towers(text, tmp_path) == towers(easyrec("DSSM"), tmp_path)


def test_a_network_without_hidden_layers_has_no_say_in_what_a_side_has(tmp_path: Path) -> None:
    text = easyrec().replace("item_content { hidden_units: [16] }", "item_content { }")
    text = text.replace("item_tower { hidden_units: [16, 8]", "item_tower { hidden_units: [8]")
    assert "activation" not in towers(text, tmp_path)["item"]
    text = easyrec().replace("item_content { hidden_units: [16]", "item_content { hidden_units: 0")
    text = text.replace(
        "item_tower { hidden_units: [16, 8]",
        "item_tower { hidden_units: [16, 8] activation: 'tanh' dropout_ratio: [0.1, 0.1]",
    )
    found = towers(text, tmp_path)["item"]
    assert (found["activation"], found["dropout"]) == ("tanh", 0.1)


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        ("DSSM", {"kind": "mlp"}),
        ("DSSM_SENet", {"kind": "senet", "groups": 2, "reduction": 3}),
        ("DAT", {"kind": "dat"}),
    ],
)
def test_the_others_have_one_network_a_side(kind: str, own: dict[str, Any], tmp_path: Path) -> None:
    layers = {"dim": 8, "hidden": [16], "batch_norm": True, "embedding": 8}
    found = towers(easyrec(kind), tmp_path)
    assert found["user"] == found["item"] == {**own, **layers}


@pytest.mark.parametrize(
    ("old", "new", "place", "told"),
    [
        (
            USER_TOWER,
            "user_tower { hidden_units: [16, 8] dropout_ratio: [0.1, 0.2] }",
            "user_tower.dropout_ratio",
            "one rate",
        ),
        (
            USER_TOWER,
            "user_tower { hidden_units: [16, 8] dropout_ratio: 0.1 }",
            "user_tower",
            "its dropout_ratio (0.1) is not that of user_content (0.0)",
        ),
        (
            USER_TOWER,
            "user_tower { hidden_units: [16, 8] activation: 'gelu' }",
            "user_tower.activation",
            "relu or tanh",
        ),
        (
            USER_TOWER,
            "user_tower { hidden_units: [16, 8] activation: 'tanh' }",
            "user_tower",
            "its activation (tanh) is not that of user_content (relu)",
        ),
        (
            "user_content { hidden_units: [16] }",
            "user_content { hidden_units: [16] activation: 'tanh' }",
            "user_preference",
            "its activation (relu) is not that of user_content (tanh)",
        ),
        (USER_TOWER, "user_tower {}", "user_tower", "the length of the vectors"),
        (
            USER_TOWER,
            "user_tower { id: 'buyer' dnn { hidden_units: [16, 8] } }",
            "user_tower.dnn",
            "an old form",
        ),
        (
            USER_TOWER,
            "user_tower { id: 'buyer' dnn { hidden_units: [16, 8] } }",
            "user_tower",
            "no hidden_units",
        ),
        (
            "user_preference { hidden_units: 24 }",
            "user_preference { hidden_units: 24 use_bn: false }",
            "user_preference",
            "give both the same",
        ),
        ("user_dropout_rate: 0.25", "user_dropout_rate: 2", "user_dropout_rate", "of 0 to 1"),
    ],
)
def test_a_network_that_cannot_be_built_is_refused(
    old: str, new: str, place: str, told: str, tmp_path: Path
) -> None:
    assert old in easyrec()
    found = refused(plan_of(easyrec().replace(old, new), tmp_path))
    assert (f"model_config.dropoutnet.{place}".rstrip(".")) in {one for one, _ in found}
    assert any(told in one for _, one in found)


def test_dropout_rates_are_mapped_with_easyrecs_defaults(tmp_path: Path) -> None:
    plan = plan_of(easyrec(), tmp_path)
    assert plan.dropout == {"user": 0.25, "item": 0.5, "column": 0}
    plan = plan_of(easyrec().replace("user_dropout_rate: 0.25", "item_dropout_rate: 0"), tmp_path)
    assert plan.dropout == {"user": 0, "item": 0, "column": 0}
    assert "no user is meant to be new" in plan.dropout_why


def test_a_model_that_hides_nothing_is_told_so(tmp_path: Path) -> None:
    plan = plan_of(easyrec("DSSM"), tmp_path)
    assert plan.dropout["item"] == 0.5
    assert plan.dropout_why.startswith("ours: DSSM hides nothing")
