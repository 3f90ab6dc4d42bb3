import math

import pytest
import torch

from tests.training.losses.exposed import ALL_PAIRS, OWN, PAIRS_OF_A_USER, WEIGHT, rows
from training.losses.pairwise import Pairwise


def by_hand(
    pairs: list[tuple[int, int]], *, margin: float, temperature: float, weight: list[float]
) -> float:
    total, weights = 0.0, 0.0
    for p, n in pairs:
        difference = (OWN[p] - OWN[n]) / temperature
        total += weight[p] * weight[n] * math.log1p(math.exp(-(difference - margin)))
        weights += weight[p] * weight[n]
    return total / weights


@pytest.mark.parametrize("margin", [0.0, 0.4])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
@pytest.mark.parametrize(("session", "pairs"), [("user_id", PAIRS_OF_A_USER), ("batch", ALL_PAIRS)])
def test_it_equals_its_formula_worked_by_hand(
    session: str, pairs: list[tuple[int, int]], margin: float, temperature: float
) -> None:
    loss = Pairwise(margin=margin, temperature=temperature, session=session)
    found = loss(rows(weight=torch.tensor(WEIGHT)))
    expected = by_hand(pairs, margin=margin, temperature=temperature, weight=WEIGHT)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_its_gradient_pulls_each_pair_apart() -> None:
    own = torch.tensor(OWN, requires_grad=True)
    Pairwise(temperature=0.5)(rows(own)).backward()  # type: ignore[no-untyped-call]
    expected = [0.0] * 5
    for p, n in PAIRS_OF_A_USER:
        push = 1 / (1 + math.exp((OWN[p] - OWN[n]) / 0.5)) / 0.5 / 3
        expected[p] -= push
        expected[n] += push
    assert own.grad is not None
    assert own.grad.tolist() == pytest.approx(expected, rel=1e-5)


def test_a_margin_asks_for_more_and_temperature_sharpens() -> None:
    assert Pairwise(margin=0.5)(rows()) > Pairwise()(rows())
    solved = rows([0.9, 0.1, 0.1, 0.9, 0.1])
    assert Pairwise(temperature=0.1)(solved) < Pairwise(temperature=0.2)(solved)
