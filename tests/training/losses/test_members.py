"""What every loss of rows promises, whichever they are."""

from typing import get_args

import pytest
import torch
from pydantic import ValidationError

from tests.training.losses.made import batch, labels, taken
from training.losses import CategoryAlignment, LossConfig
from training.losses.base import LossKind, Scored

OF_ITEMS = CategoryAlignment  # which no row, label or weight changes
MEMBERS = [one for one in get_args(get_args(LossConfig)[0]) if one is not OF_ITEMS]
SCORES = [
    [0.9, 0.5, -0.2, 0.3],
    [0.1, 0.6, 0.3, -0.4],
    [0.4, 0.2, 0.85, 0.1],
    [0.2, 0.8, 0.5, 0.58],
]
CLICKED = labels(1, 1, 0, 0)
every_loss = pytest.mark.parametrize("member", MEMBERS, ids=lambda one: one.__name__)


def shown(scores: torch.Tensor | None = None, **changes: torch.Tensor) -> Scored:
    """Two users, each with a row clicked and a row not clicked."""
    found = batch(torch.tensor(SCORES) if scores is None else scores, is_positive=CLICKED)
    found.sessions["user_id"][:] = torch.tensor([0, 1, 0, 1])
    return type(found)(**{**vars(found), **changes})


def loss(member: type[LossKind], found: Scored) -> torch.Tensor:
    value: torch.Tensor = member.model_validate({}).build()(found)
    return value


@every_loss
@pytest.mark.parametrize("clicked", [0, 1])
def test_a_batch_of_one_gives_a_finite_loss(member: type[LossKind], clicked: int) -> None:
    scores = torch.tensor([[0.3]], requires_grad=True)
    found = loss(member, batch(scores, is_positive=labels(clicked)))
    found.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(found)
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()


@every_loss
def test_a_batch_without_positives_gives_no_loss_unless_exposures_have_one_of_their_own(
    member: type[LossKind],
) -> None:
    scores = torch.tensor(SCORES, requires_grad=True)
    found = loss(member, shown(scores, is_positive=labels(0, 0, 0, 0)))
    found.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(found)
    assert scores.grad is not None
    if member.__name__ != "Pointwise":
        assert found.item() == 0
        assert not scores.grad.any()


@every_loss
def test_rows_without_weight_give_no_loss_and_no_gradient(member: type[LossKind]) -> None:
    scores = torch.tensor(SCORES, requires_grad=True)
    found = loss(member, shown(scores, weight=torch.zeros(4)))
    found.backward()  # type: ignore[no-untyped-call]
    assert found.item() == 0
    assert scores.grad is not None
    assert not scores.grad.any()


@every_loss
@pytest.mark.parametrize(
    ("weight", "rows"),
    [([1.0, 2.0, 1.0, 1.0], [0, 1, 1, 2, 3]), ([1.0, 1.0, 2.0, 1.0], [0, 1, 2, 2, 3])],
    ids=["clicked", "not clicked"],
)
def test_a_weight_of_two_is_the_row_twice(
    member: type[LossKind], weight: list[float], rows: list[int]
) -> None:
    weighted = loss(member, shown(weight=torch.tensor(weight)))
    torch.testing.assert_close(weighted, loss(member, taken(shown(), rows)))


@every_loss
@pytest.mark.parametrize(
    ("weight", "rows"),
    [([1.0, 0.0, 1.0, 1.0], [0, 2, 3]), ([1.0, 1.0, 0.0, 1.0], [0, 1, 3])],
    ids=["clicked", "not clicked"],
)
def test_a_weight_of_zero_is_the_row_absent(
    member: type[LossKind], weight: list[float], rows: list[int]
) -> None:
    weighted = loss(member, shown(weight=torch.tensor(weight)))
    torch.testing.assert_close(weighted, loss(member, taken(shown(), rows)))


@every_loss
def test_weights_change_the_loss(member: type[LossKind]) -> None:
    assert loss(member, shown(weight=torch.tensor([1.0, 5.0, 1.0, 1.0]))) != loss(member, shown())


@every_loss
def test_a_higher_score_of_what_was_clicked_lowers_the_loss(member: type[LossKind]) -> None:
    better = torch.tensor(SCORES) + 0.1 * torch.diag(CLICKED.float())
    assert loss(member, shown(better)) < loss(member, shown())


@every_loss
def test_rows_not_clicked_count_where_the_loss_asks_for_them(member: type[LossKind]) -> None:
    worse = torch.tensor(SCORES) + 0.1 * torch.diag((~CLICKED).float())
    worse[0, 1:] = torch.tensor(SCORES)[0, 1:]
    found, before = loss(member, shown(worse)), loss(member, shown())
    assert found > before if member.needs_exposures else found == before


@every_loss
def test_the_order_of_rows_is_of_no_account(member: type[LossKind]) -> None:
    torch.testing.assert_close(
        loss(member, taken(shown(), [3, 1, 0, 2])), loss(member, shown()), rtol=1e-5, atol=1e-6
    )


@every_loss
@pytest.mark.parametrize(("option", "value"), [("weight", 0), ("tempreature", 1)])
def test_a_wrong_option_is_named(member: type[LossKind], option: str, value: int) -> None:
    with pytest.raises(ValidationError, match=option):
        member.model_validate({option: value})
