import math
from dataclasses import replace
from typing import get_args

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from training.losses import LossConfig
from training.losses.base import Scored
from training.losses.in_batch_softmax import InBatchSoftmax

MEMBERS = get_args(LossConfig) or (LossConfig,)
SCORES = [[0.9, 0.5, -0.2], [0.1, 0.6, 0.3], [0.4, 0.2, 0.7]]
LOG_Q = [-1.0, -2.0, -3.0]


def batch(scores: list[list[float]] | Tensor | None = None, **changes: Tensor) -> Scored:
    """Return a batch whose items are all different, none known, none cold, of equal weight."""
    found = torch.as_tensor(SCORES if scores is None else scores)
    rows = len(found)
    plain = Scored(
        scores=found,
        same_item=torch.eye(rows, dtype=torch.bool),
        known_positive=torch.zeros(rows, rows, dtype=torch.bool),
        cold=torch.zeros(rows, dtype=torch.bool),
        log_q=torch.tensor(LOG_Q[:rows]),
        weight=torch.ones(rows),
    )
    return replace(plain, **changes)


def by_hand(logits: list[list[float]], weights: list[float] | None = None) -> float:
    """-log softmax of the diagonal, weighted mean."""
    weights = weights or [1.0] * len(logits)
    losses = [
        math.log(sum(math.exp(one) for one in row)) - row[place] for place, row in enumerate(logits)
    ]
    return sum(w * one for w, one in zip(weights, losses, strict=True)) / sum(weights)


def cell(row: int, column: int) -> Tensor:
    mask = torch.zeros(3, 3, dtype=torch.bool)
    mask[row, column] = True
    return mask


@pytest.mark.parametrize("member", MEMBERS)
def test_a_batch_of_one_gives_a_finite_loss(member: type[InBatchSoftmax]) -> None:
    assert torch.isfinite(member()(batch([[0.3]])))


@pytest.mark.parametrize("member", MEMBERS)
def test_rows_without_weight_give_no_loss_and_no_gradient(member: type[InBatchSoftmax]) -> None:
    scores = torch.tensor(SCORES, requires_grad=True)
    loss = member()(batch(scores, weight=torch.zeros(3)))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert scores.grad is not None
    assert not scores.grad.any()


@pytest.mark.parametrize("member", MEMBERS)
def test_a_higher_score_of_the_own_item_lowers_the_loss(member: type[InBatchSoftmax]) -> None:
    better = torch.tensor(SCORES) + 0.1 * torch.eye(3)
    assert member()(batch(better)) < member()(batch())


@pytest.mark.parametrize("member", MEMBERS)
def test_the_loss_is_the_mean_over_weights(member: type[InBatchSoftmax]) -> None:
    loss = member()
    alone = [loss(batch(weight=torch.eye(3)[row])).item() for row in range(3)]
    found = loss(batch(weight=torch.tensor([1.0, 3.0, 0.0]))).item()
    assert found == pytest.approx((alone[0] + 3 * alone[1]) / 4)
    assert len(set(alone)) == 3


def test_the_softmax_equals_its_formula_worked_by_hand() -> None:
    logits = [[s / 0.5 - q for s, q in zip(row, LOG_Q, strict=True)] for row in SCORES]
    found = InBatchSoftmax(temperature=0.5)(batch(weight=torch.tensor([1.0, 2.0, 0.5])))
    assert found.item() == pytest.approx(by_hand(logits, [1.0, 2.0, 0.5]), rel=1e-6)


def test_temperature_divides_the_scores() -> None:
    loss = InBatchSoftmax(temperature=0.2, logq="off")
    logits = [[s / 0.2 for s in row] for row in SCORES]
    assert loss(batch()).item() == pytest.approx(by_hand(logits), rel=1e-6)
    assert loss(batch()) < InBatchSoftmax(temperature=0.4, logq="off")(batch())


def test_logq_makes_a_rare_negative_count_for_more_and_a_frequent_one_for_less() -> None:
    loss = InBatchSoftmax()
    frequent = batch(log_q=torch.tensor([-2.0, -2.0, -0.5]), weight=torch.tensor([1.0, 0, 0]))
    rare = batch(log_q=torch.tensor([-2.0, -2.0, -5.0]), weight=torch.tensor([1.0, 0, 0]))
    assert loss(frequent) < loss(rare)
    off = InBatchSoftmax(logq="off")
    assert off(frequent) == off(rare)


def test_logq_makes_a_popular_item_easier_to_be_right_about() -> None:
    """A model that scores all alike is corrected to the items' true shares of clicks."""
    share = torch.tensor([0.7, 0.2, 0.1])
    scores = 0.1 * share.log().expand(3, 3)  # temperature times log p: what is to be learned
    found = InBatchSoftmax(temperature=0.1)(batch(scores, log_q=share.log()))
    assert found.item() == pytest.approx(math.log(3))  # drawn by q, no candidate stands out


def test_an_accidental_hit_is_no_negative() -> None:
    hit = batch(same_item=torch.eye(3, dtype=torch.bool) | cell(0, 1))
    assert InBatchSoftmax()(hit) < InBatchSoftmax()(batch())
    kept = InBatchSoftmax(mask_accidental_hits=False)
    assert kept(hit) == kept(batch())


def test_a_known_positive_is_no_negative() -> None:
    known = batch(known_positive=cell(2, 0))
    assert InBatchSoftmax()(known) < InBatchSoftmax()(batch())
    kept = InBatchSoftmax(mask_known_positives=False)
    assert kept(known) == kept(batch())


def test_the_own_item_is_never_masked() -> None:
    everything = torch.ones(3, 3, dtype=torch.bool)
    assert InBatchSoftmax()(batch(same_item=everything, known_positive=everything)).item() == 0


def test_cold_odds_are_odds() -> None:
    """Where the model is right about chances p, an item seen cold is wanted `cold_odds` times."""
    p, odds = torch.tensor([0.5, 0.3, 0.2]), 3.0
    cold = torch.tensor([False, False, True])
    wanted = p * torch.where(cold, odds, 1.0)
    scores = 0.1 * wanted.log().expand(3, 3).clone().requires_grad_()
    loss = InBatchSoftmax(temperature=0.1, cold_odds=odds)(
        batch(scores, log_q=p.log(), cold=cold, weight=torch.ones(3))
    )
    assert loss.item() == pytest.approx(math.log(3))


def test_cold_odds_lift_cold_candidates_whatever_logq_says() -> None:
    cold = torch.tensor([False, True, False])
    row = torch.tensor([0.0, 1.0, 0.0])
    for logq in ("off", "classic"):
        plain = InBatchSoftmax(logq=logq)(batch(cold=cold, weight=row))
        lifted = InBatchSoftmax(logq=logq, cold_odds=4.0)(batch(cold=cold, weight=row))
        assert lifted > plain  # so training has to push the cold item further up


def test_an_unquoted_off_of_yaml_means_off() -> None:
    assert InBatchSoftmax.model_validate({"logq": False}).logq == "off"
    with pytest.raises(ValidationError, match="logq"):
        InBatchSoftmax.model_validate({"logq": True})


@pytest.mark.parametrize("option", ["temperature", "weight", "cold_odds"])
def test_an_option_has_to_be_above_zero(option: str) -> None:
    with pytest.raises(ValidationError, match=option):
        InBatchSoftmax.model_validate({option: 0})
