import math

import pytest
import torch

from tests.training.losses.made import SCORES, batch, cell, labels
from training.losses.in_batch_softmax import InBatchSoftmax
from training.losses.sv_softmax import SVSoftmax

LITERAL = {"gamma": 1.0, "t": 1.0, "margin": 0.0}


def by_hand(positive: float, negatives: list[float], *, margin: float, t: float, g: float) -> float:
    """EasyRec's formula for one row."""
    positive -= margin
    negatives = [t * n + t - 1 if n > positive else n for n in negatives]
    logits = [g * positive, *(g * n for n in negatives)]
    return math.log(sum(map(math.exp, logits))) - logits[0]


@pytest.mark.parametrize("margin", [0.0, 0.35])
@pytest.mark.parametrize("t", [1.0, 1.3])
@pytest.mark.parametrize("gamma", [1.0, 15.0])
def test_it_equals_its_formula_worked_by_hand(margin: float, t: float, gamma: float) -> None:
    rows = [(0.9, [0.5, -0.2]), (0.6, [0.1, 0.3]), (0.7, [0.4, 0.2])]
    expected = [by_hand(p, n, margin=margin, t=t, g=gamma) for p, n in rows]
    found = SVSoftmax(margin=margin, t=t, gamma=gamma)(batch(weight=torch.tensor([1.0, 2.0, 0.5])))
    mean = (expected[0] + 2 * expected[1] + 0.5 * expected[2]) / 3.5
    assert found.item() == pytest.approx(mean, rel=1e-5, abs=1e-6)


def test_the_literal_defaults_leave_a_floor_of_043() -> None:
    """Cosines of 1 and -1 cannot do better with four negatives (gamma 1)."""
    perfect = torch.full((5, 5), -1.0) + 2 * torch.eye(5)
    loss = SVSoftmax(**LITERAL)
    assert loss(batch(perfect)).item() == pytest.approx(math.log(1 + 4 * math.exp(-2)), rel=1e-5)
    assert SVSoftmax()(batch(perfect)).item() < 1e-6


def test_a_support_vector_has_t_times_the_gradient_and_the_mask_none() -> None:
    scores = torch.tensor([[0.2, 0.5, 0.1]], requires_grad=True)
    SVSoftmax(gamma=2.0, t=1.5)(batch(scores)).backward()  # type: ignore[no-untyped-call]
    chance = torch.tensor([2 * 0.2, 2 * (1.5 * 0.5 + 0.5), 2 * 0.1]).softmax(0)
    expected = 2.0 * torch.stack([chance[0] - 1, 1.5 * chance[1], chance[2]])
    assert scores.grad is not None
    torch.testing.assert_close(scores.grad[0], expected)


def test_t_presses_only_what_lies_above_the_positive() -> None:
    solved, unsolved = batch([[0.9, 0.5]]), batch([[0.2, 0.5]])
    assert SVSoftmax(t=1.5)(solved) == SVSoftmax(t=1.0)(solved)
    assert SVSoftmax(t=1.5)(unsolved) > SVSoftmax(t=1.0)(unsolved)


def test_margin_lowers_the_positive_and_makes_support_vectors() -> None:
    near = batch([[0.6, 0.5]])
    assert SVSoftmax(margin=0.2, t=1.0)(near) > SVSoftmax(t=1.0)(near)
    lift = SVSoftmax(margin=0.2, t=1.5)(near) - SVSoftmax(margin=0.2, t=1.0)(near)
    assert lift > 0


def test_without_boost_and_margin_it_is_a_softmax_of_temperature_one_over_gamma() -> None:
    plain = InBatchSoftmax(temperature=1 / 15, logq="off")
    torch.testing.assert_close(SVSoftmax(t=1.0)(batch()), plain(batch()))


def test_negatives_bounds_how_many_count_and_draws_them_anew() -> None:
    torch.manual_seed(0)
    scores = torch.randn(1, 40)
    everyone = SVSoftmax()(batch(scores))
    few = [SVSoftmax(negatives=3)(batch(scores)).item() for _ in range(20)]
    assert max(few) < everyone
    assert len(set(few)) > 15
    assert SVSoftmax(negatives=39)(batch(scores)) <= everyone
    assert SVSoftmax(negatives=99)(batch(scores)) == everyone


def test_negatives_are_drawn_among_candidates_only() -> None:
    torch.manual_seed(0)
    scores, loss = torch.tensor([[0.9, 0.5, 0.7, 0.1]]), SVSoftmax(negatives=1)
    only = torch.tensor([[False, False, True, False]])
    expected = by_hand(0.9, [0.7], margin=0, t=1.1, g=15)
    for _ in range(10):
        found = loss(batch(scores, candidate=only))
        assert found.item() == pytest.approx(expected, rel=1e-5)


def test_masks_take_negatives_out_unless_told_not_to() -> None:
    hit = batch(same_item=torch.eye(3, dtype=torch.bool) | cell(0, 1))
    known = batch(known_positive=cell(2, 0))
    assert SVSoftmax()(hit) < SVSoftmax()(batch())
    assert SVSoftmax()(known) < SVSoftmax()(batch())
    assert SVSoftmax(mask_accidental_hits=False)(hit) == SVSoftmax()(batch())
    assert SVSoftmax(mask_known_positives=False)(known) == SVSoftmax()(batch())


def test_a_row_not_clicked_is_material_for_negatives_and_no_row_of_its_own() -> None:
    first = batch(is_positive=labels(1, 0, 0))
    expected = by_hand(SCORES[0][0], SCORES[0][1:], margin=0, t=1.1, g=15)
    assert SVSoftmax()(first).item() == pytest.approx(expected, rel=1e-5)
