from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from tests.training.easyrec.made import easyrec, plan_of, refused
from training.easyrec.losses import Objective
from training.losses import LossConfig
from training.negatives import NegativeConfig

LOSSES = "losses { loss_type: CLASSIFICATION }\n"
MINING = "losses { loss_type: SOFTMAX_CROSS_ENTROPY_WITH_NEGATIVE_MINING weight: 0.5 }"
LISTED = "loss_type: SOFTMAX_CROSS_ENTROPY"
SAMPLER = "negative_sampler { input_path: 'items' num_sample: 32 item_id_field: 'ad' }"
HARD = """hard_negative_sampler_v2 { user_input_path: 'u' item_input_path: 'i' num_sample: 16
  pos_edge_input_path: 'e' hard_neg_edge_input_path: 'h' num_hard_sample: 4
  item_id_field: 'ad' user_id_field: 'buyer' num_eval_sample: 8 attr_fields: 'price' }"""


def objective(text: str, folder: Path) -> Objective:
    plan = plan_of(text, folder)
    assert refused(plan) == []
    for options, _ in plan.objective.losses:
        if options["kind"] != "mimic":
            TypeAdapter(LossConfig).validate_python(options)
    for options, _ in plan.objective.negatives:
        TypeAdapter(NegativeConfig).validate_python(options)
    return plan.objective


def losses(found: Objective) -> list[dict[str, Any]]:
    return [options for options, _ in found.losses]


def negatives(found: Objective) -> list[dict[str, Any]]:
    return [options for options, _ in found.negatives]


def test_dropoutnet_has_easyrecs_losses_at_its_values(tmp_path: Path) -> None:
    text = easyrec().replace(MINING, f"{MINING} losses {{ loss_type: PAIR_WISE_LOSS }}")
    found = objective(text, tmp_path)
    assert losses(found) == [
        {"kind": "pointwise", "scale": 1, "bias": 0, "learned": False},
        {
            "kind": "sv_softmax",
            "margin": 0.1,
            "t": 2,
            "gamma": 12,
            "mask_accidental_hits": False,
            "mask_known_positives": False,
            "weight": 0.5,
        },
        {"kind": "pairwise", "temperature": 1, "margin": 0, "session": "batch"},
    ]
    assert negatives(found) == [{"kind": "roll", "n": 3, "exposures": True}]


def test_what_easyrec_leaves_to_its_defaults_has_them(tmp_path: Path) -> None:
    text = easyrec().replace("margin: 0.1 gamma: 12 coefficient_of_support_vector: 2", "")
    found = losses(objective(text, tmp_path))[1]
    assert (found["margin"], found["t"], found["gamma"]) == (0.0, 1.0, 1.0)


def test_a_loss_of_weight_0_is_left_out(tmp_path: Path) -> None:
    found = objective(easyrec().replace("weight: 0.5", "weight: 0"), tmp_path)
    assert [one["kind"] for one in losses(found)] == ["pointwise"]
    assert negatives(found) == [{"kind": "in_batch"}]


@pytest.mark.parametrize(
    ("old", "new", "place", "told"),
    [
        (LOSSES, "losses { loss_type: L2_LOSS }", "losses.loss_type", "passes it over"),
        (LOSSES + "  " + MINING, "", "", "write losses { loss_type: CLASSIFICATION }"),
        (MINING, MINING[:-1] + "learn_loss_weight: true }", "losses.learn_loss_weight", "fixed"),
        ("margin: 0.1", "margin: -1", "dropoutnet.softmax_loss.margin", "at least 0"),
        (
            "coefficient_of_support_vector: 2",
            "coefficient_of_support_vector: 0.5",
            "dropoutnet.softmax_loss.coefficient_of_support_vector",
            "at least 1",
        ),
    ],
)
def test_what_dropoutnet_cannot_train_on_is_refused(
    old: str, new: str, place: str, told: str, tmp_path: Path
) -> None:
    assert old in easyrec()
    found = refused(plan_of(easyrec().replace(old, new), tmp_path))
    assert found[0][0] == f"model_config.{place}".rstrip(".")
    assert told in found[0][1]


def test_mining_without_its_parameters_is_refused(tmp_path: Path) -> None:
    text = easyrec().replace("softmax_loss { num", "zz { num")
    assert any("no softmax_loss" in told for _, told in refused(plan_of(text, tmp_path)))


@pytest.mark.parametrize("kind", ["DSSM", "DSSM_SENet"])
def test_classification_is_a_loss_of_single_rows_with_a_learned_scale(
    kind: str, tmp_path: Path
) -> None:
    found = objective(easyrec(kind).replace(LISTED, ""), tmp_path)
    assert losses(found) == [{"kind": "pointwise", "scale": 20.0, "bias": 0, "learned": True}]
    fixed = objective(easyrec(kind, options="scale_simi: false").replace(LISTED, ""), tmp_path)
    assert losses(fixed)[0]["learned"] is False


@pytest.mark.parametrize("kind", ["DSSM", "DSSM_SENet", "DAT"])
def test_softmax_is_over_the_batch_as_easyrec_has_it(kind: str, tmp_path: Path) -> None:
    found = objective(easyrec(kind), tmp_path)
    assert losses(found)[0] == {
        "kind": "in_batch_softmax",
        "temperature": 0.05,
        "logq": "off",
        "mask_accidental_hits": False,
        "mask_known_positives": False,
    }
    assert negatives(found) == [{"kind": "in_batch"}]


def test_an_item_id_masks_what_is_the_same_item(tmp_path: Path) -> None:
    found = losses(objective(easyrec("DSSM", options="item_id: 'ad'"), tmp_path))
    assert found[0]["mask_accidental_hits"] is True


def test_dat_mimics(tmp_path: Path) -> None:
    found = losses(objective(easyrec("DAT", options="amm_u_weight: 0.2"), tmp_path))
    assert found[1] == {"kind": "mimic", "user": 0.2, "item": 0.5, "unit": False}


def test_an_inner_product_has_no_temperature(tmp_path: Path) -> None:
    text = easyrec("DSSM").replace("simi_func: COSINE", "simi_func: INNER_PRODUCT")
    found = objective(text, tmp_path)
    assert found.similarity == "inner_product"
    assert losses(found)[0]["temperature"] == 1.0
    noted = {entry.place for entry in plan_of(text, tmp_path).ledger.of("noted")}
    assert "model_config.dssm.temperature" in noted


def test_samplers_are_negatives_of_the_catalogue(tmp_path: Path) -> None:
    found = objective(easyrec("DSSM", data=SAMPLER), tmp_path)
    assert negatives(found) == [{"kind": "in_batch"}, {"kind": "mixed", "n": 32}]
    alone = easyrec("DSSM", data=SAMPLER, options="ignore_in_batch_neg_sam: true")
    assert negatives(objective(alone, tmp_path)) == [{"kind": "mixed", "n": 32}]
    hard = objective(easyrec("DSSM", data=HARD), tmp_path)
    assert negatives(hard)[1:] == [
        {"kind": "mixed", "n": 16},
        {"kind": "given", "file": "hard_negatives.csv", "n": 4},
    ]
    assert losses(hard)[0]["mask_known_positives"] is True


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        (easyrec("DSSM").replace("COSINE", "EUCLID"), "model_config.dssm.simi_func", "builds none"),
        (easyrec("DAT").replace(LISTED, ""), "model_config", "SOFTMAX_CROSS_ENTROPY only"),
        (
            easyrec("DSSM").replace(LISTED, "loss_type: L2_LOSS"),
            "model_config.loss_type",
            "expected CLASSIFICATION or SOFTMAX_CROSS_ENTROPY",
        ),
        (
            easyrec("DSSM").replace(LISTED, f"{LISTED} losses {{ loss_type: CLASSIFICATION }}"),
            "model_config.losses",
            "reads loss_type",
        ),
        (
            easyrec("DSSM").replace(LISTED, f"{LISTED} num_class: 3"),
            "model_config.num_class",
            "say 1",
        ),
        (
            easyrec("DSSM", options="ignore_in_batch_neg_sam: true"),
            "model_config.dssm.ignore_in_batch_neg_sam",
            "add a sampler",
        ),
        (
            easyrec("DSSM", data=SAMPLER).replace(LISTED, ""),
            "data_config.negative_sampler",
            "draws no negatives",
        ),
        (easyrec(data=SAMPLER), "data_config.negative_sampler", "draws within the batch"),
        (
            easyrec("DSSM", data=SAMPLER + HARD),
            "data_config.hard_negative_sampler_v2",
            "keep one",
        ),
    ],
)
def test_what_cannot_be_trained_on_is_refused(
    text: str, place: str, told: str, tmp_path: Path
) -> None:
    found = refused(plan_of(text, tmp_path))
    assert [one for one, _ in found] == [place]
    assert told in found[0][1]
