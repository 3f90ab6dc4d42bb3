import pytest
import torch

from tests.training.losses.exposed import ALL_PAIRS, OWN, PAIRS_OF_A_USER, WEIGHT, rows
from training.losses.pairwise_hinge import PairwiseHinge


@pytest.mark.parametrize("margin", [0.5, 1.0])
@pytest.mark.parametrize("temperature", [0.2, 1.0])
@pytest.mark.parametrize(("session", "pairs"), [("user_id", PAIRS_OF_A_USER), ("batch", ALL_PAIRS)])
def test_it_equals_its_formula_worked_by_hand(
    session: str, pairs: list[tuple[int, int]], margin: float, temperature: float
) -> None:
    loss = PairwiseHinge(margin=margin, temperature=temperature, session=session)
    weights = [WEIGHT[p] * WEIGHT[n] for p, n in pairs]
    losses = [max(0.0, margin - (OWN[p] - OWN[n]) / temperature) for p, n in pairs]
    expected = sum(w * one for w, one in zip(weights, losses, strict=True)) / sum(weights)
    found = loss(rows(weight=torch.tensor(WEIGHT)))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_its_gradient_pushes_pairs_within_the_margin_and_no_others() -> None:
    own = torch.tensor(OWN, requires_grad=True)
    PairwiseHinge(temperature=0.2, margin=1.0)(rows(own)).backward()  # type: ignore[no-untyped-call]
    push = 1 / 0.2 / 3  # of the pairs (0, 2) and (3, 4); (0, 1) is 1.5 apart
    assert own.grad is not None
    assert own.grad.tolist() == pytest.approx([-push, 0, push, -push, push])


def test_a_pair_that_has_its_margin_says_nothing() -> None:
    solved = rows([0.9, 0.1, 0.1, 0.9, 0.1])
    assert PairwiseHinge(margin=7.9)(solved).item() == 0
    assert PairwiseHinge(margin=8.1)(solved).item() == pytest.approx(0.1, abs=1e-5)
