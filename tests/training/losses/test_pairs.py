"""What every loss over pairs promises, whichever it is."""

from typing import get_args

import pytest
import torch

from tests.training.losses.exposed import OWN, PAIRS_OF_A_USER, USERS, WEIGHT, rows
from training.losses import LossConfig
from training.losses.base import Scored
from training.losses.pairs import PairLoss

MEMBERS = [one for one in get_args(get_args(LossConfig)[0]) if issubclass(one, PairLoss)]
every_pair_loss = pytest.mark.parametrize("member", MEMBERS, ids=lambda one: one.__name__)


def by_hand(loss: PairLoss, pairs: list[tuple[int, int]], weight: list[float]) -> float:
    """Return the mean over pairs of what the loss says of each, by the pair's weight."""
    differences = torch.tensor([(OWN[p] - OWN[n]) / loss.temperature for p, n in pairs])
    weights = torch.tensor([weight[p] * weight[n] for p, n in pairs])
    found: float = ((loss.of_pairs(differences) * weights).sum() / weights.sum()).item()
    return found


@every_pair_loss
def test_a_session_without_both_labels_makes_no_pair(member: type[PairLoss]) -> None:
    apart = rows(sessions={"user_id": torch.arange(5)})
    assert member.model_validate({})(apart).item() == 0
    assert member.model_validate({"session": "batch"})(apart).item() > 0


@every_pair_loss
def test_a_session_of_another_name_is_used(member: type[PairLoss]) -> None:
    visits = torch.tensor([0, 0, 1, 2, 2])
    loss = member.model_validate({"session": "visit"})
    found = loss(rows(sessions={"user_id": USERS, "visit": visits}))
    assert found.item() == pytest.approx(by_hand(loss, [(0, 1), (3, 4)], [1.0] * 5), rel=1e-5)


@every_pair_loss
def test_rows_of_a_session_are_asked_to_share_a_batch_unless_the_batch_is_one(
    member: type[PairLoss],
) -> None:
    assert member.model_validate({}).together == "user_id"
    assert member.model_validate({"session": "visit"}).together == "visit"
    assert member.model_validate({"session": "batch"}).together is None


@every_pair_loss
def test_a_pair_weighs_the_product_of_both_rows_weights(member: type[PairLoss]) -> None:
    """And not the weight of the clicked row alone."""
    found = member.model_validate({})(rows(weight=torch.tensor(WEIGHT)))
    assert found.item() == pytest.approx(
        by_hand(member.model_validate({}), PAIRS_OF_A_USER, WEIGHT), rel=1e-5
    )
    heavier = rows(weight=torch.tensor([1.0, 1.0, 1.0, 1.0, 9.0]))  # of the worst pair
    assert member.model_validate({})(heavier) > member.model_validate({})(rows())


@every_pair_loss
def test_the_hardest_pairs_alone_count_by_their_share(member: type[PairLoss]) -> None:
    """Of three pairs of equal weight; d is .3, -.1 and -.2 over the temperature."""
    hardest = [(3, 4), (0, 2), (0, 1)]
    for share, kept in ((1 / 3, 1), (2 / 3, 2)):
        loss = member.model_validate({"hardest": share})
        expected = by_hand(loss, hardest[:kept], [1.0] * 5)
        assert loss(rows()).item() == pytest.approx(expected, rel=1e-4)
    shares = [
        member.model_validate({"hardest": share})(rows()).item() for share in (0.2, 0.5, 0.8, 1.0)
    ]
    assert sorted(shares, reverse=True) == shares
    assert shares[0] > shares[3]


@every_pair_loss
def test_among_the_hardest_a_weight_of_two_is_the_row_twice(member: type[PairLoss]) -> None:
    def of(own: list[float], clicked: list[int], weight: list[float]) -> Scored:
        return rows(
            own,
            is_positive=torch.tensor(clicked, dtype=torch.bool),
            weight=torch.tensor(weight),
            sessions={"user_id": torch.zeros(len(own), dtype=torch.int64)},
        )

    loss = member.model_validate({"hardest": 0.5})
    weighted = of([0.5, 0.45, 0.2, 0.6], [1, 0, 0, 0], [1.0, 1.0, 1.0, 2.0])
    twice = of([0.5, 0.45, 0.2, 0.6, 0.6], [1, 0, 0, 0, 0], [1.0] * 5)
    torch.testing.assert_close(loss(weighted), loss(twice))
    absent = of([0.5, 0.45, 0.2, 0.9], [1, 0, 0, 0], [1.0, 1.0, 1.0, 0.0])
    torch.testing.assert_close(loss(absent), loss(of([0.5, 0.45, 0.2], [1, 0, 0], [1.0] * 3)))


@every_pair_loss
@pytest.mark.parametrize("hardest", [0.1, 1.0])
def test_pairs_without_loss_and_no_pairs_at_all_give_zero(
    member: type[PairLoss], hardest: float
) -> None:
    """The mean over the hardest of nothing is no NaN."""
    loss = member.model_validate({"hardest": hardest, "temperature": 0.01})
    nothing = [
        rows([9.0, -9.0, -9.0, 9.0, -9.0]),
        rows(is_positive=torch.zeros(5, dtype=torch.bool)),
        rows(is_positive=torch.ones(5, dtype=torch.bool)),
        rows(weight=torch.zeros(5)),
    ]
    for found in nothing:
        assert loss(found).item() == 0


@every_pair_loss
@pytest.mark.parametrize("own", [[9.0, -9.0, -9.0, 9.0, -9.0], [-9.0, 9.0, 9.0, -9.0, 9.0]])
def test_scores_far_apart_give_finite_gradients(member: type[PairLoss], own: list[float]) -> None:
    scores = torch.tensor(own, requires_grad=True)
    loss = member.model_validate({"temperature": 0.01})(rows(scores))
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()
