import math
from typing import Any

import pytest
import torch

from tests.training.losses.made import batch, labels
from training.losses.base import Scored
from training.losses.pairwise import Pairwise

OWN = [0.5, 0.2, 0.6, 0.1, 0.3]
LABELS = labels(1, 0, 0, 1, 0)
USERS = torch.tensor([7, 7, 7, 8, 8])
WEIGHT = [2.0, 1.0, 0.5, 1.0, 3.0]
PAIRS_OF_A_USER = [(0, 1), (0, 2), (3, 4)]
ALL_PAIRS = [(p, n) for p in (0, 3) for n in (1, 2, 4)]


def rows(own: Any = OWN, **changes: Any) -> Scored:
    """Five rows of two users, whose own scores are these."""
    return batch(
        torch.diag(torch.as_tensor(own)),
        is_positive=LABELS,
        **{"sessions": {"user_id": USERS}, **changes},
    )


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


def test_a_session_without_both_labels_makes_no_pair() -> None:
    apart = rows(sessions={"user_id": torch.arange(5)})
    assert Pairwise()(apart).item() == 0
    assert Pairwise(session="batch")(apart).item() > 0


def test_a_session_of_another_name_is_used() -> None:
    visits = torch.tensor([0, 0, 1, 2, 2])
    found = Pairwise(session="visit")(rows(sessions={"user_id": USERS, "visit": visits}))
    expected = by_hand([(0, 1), (3, 4)], margin=0, temperature=0.1, weight=[1.0] * 5)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_rows_of_a_session_are_asked_to_share_a_batch_unless_the_batch_is_one() -> None:
    assert Pairwise().together == "user_id"
    assert Pairwise(session="visit").together == "visit"
    assert Pairwise(session="batch").together is None
