import math

import pytest
import torch

from tests.training.losses.exposed import ALL_PAIRS, OWN, PAIRS_OF_A_USER, WEIGHT, rows
from training.losses.pairwise import Pairwise
from training.losses.pairwise_focal import PairwiseFocal


@pytest.mark.parametrize("gamma", [0.5, 2.0])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
@pytest.mark.parametrize(("session", "pairs"), [("user_id", PAIRS_OF_A_USER), ("batch", ALL_PAIRS)])
def test_it_equals_its_formula_worked_by_hand(
    session: str, pairs: list[tuple[int, int]], gamma: float, temperature: float
) -> None:
    loss = PairwiseFocal(gamma=gamma, temperature=temperature, session=session)
    total, weights = 0.0, 0.0
    for p, n in pairs:
        chance = 1 / (1 + math.exp(-(OWN[p] - OWN[n]) / temperature))
        total += WEIGHT[p] * WEIGHT[n] * (1 - chance) ** gamma * -math.log(chance)
        weights += WEIGHT[p] * WEIGHT[n]
    found = loss(rows(weight=torch.tensor(WEIGHT)))
    assert found.item() == pytest.approx(total / weights, rel=1e-5)


def test_at_gamma_zero_it_is_the_logistic_loss() -> None:
    torch.testing.assert_close(PairwiseFocal(gamma=0)(rows()), Pairwise()(rows()))


def test_the_more_gamma_the_less_a_pair_in_the_right_order_says_beside_one_that_is_not() -> None:
    def share_of_the_solved(gamma: float) -> float:
        own = torch.tensor(OWN, requires_grad=True)
        PairwiseFocal(gamma=gamma, temperature=1.0)(rows(own)).backward()  # type: ignore[no-untyped-call]
        assert own.grad is not None
        return (own.grad[1] / own.grad[4]).item()  # (0, 1) is in order, (3, 4) is not

    assert share_of_the_solved(0.0) > share_of_the_solved(1.0) > share_of_the_solved(4.0) > 0


def test_a_root_of_no_doubt_has_a_gradient() -> None:
    """A gamma below 1 of pairs so far apart that the doubt is 0 in float32."""
    own = torch.tensor([9.0, -9.0, -9.0, 9.0, -9.0], requires_grad=True)
    PairwiseFocal(gamma=0.5, temperature=0.01)(rows(own)).backward()  # type: ignore[no-untyped-call]
    assert own.grad is not None
    assert torch.isfinite(own.grad).all()
