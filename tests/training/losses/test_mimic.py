import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from tests.training.losses.made import augmented, batch, labels
from training.losses.base import Scored
from training.losses.mimic import Mimic

USERS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])  # what the towers gave
ITEMS = torch.tensor([[0.0, 1.0], [0.8, 0.6], [1.0, 0.0]])
OF_USERS = torch.tensor([[3.0, 4.0], [1.6, 1.2], [0.0, 2.0]])  # at length 1: .6 .8, .8 .6, 0 1
OF_ITEMS = torch.tensor([[2.0, 0.0], [0.0, 0.5], [0.8, -0.6]])  # at length 1: 1 0, 0 1, .8 -.6

# Mean squared distance of each row's augmented vector to what it met, at length 1 and as it is.
USER_OFF = {True: [0.2, 0.0, 1.0], False: [9.0, (0.8**2 + 0.6**2) / 2, (1 + 4) / 2]}
ITEM_OFF = {True: [0.0, 0.0, (0.2**2 + 1.4**2) / 2], False: [0.5, 0.125, (0.2**2 + 1.4**2) / 2]}


def met(**changes: object) -> Scored:
    """Return three clicked rows, whose items are those of the columns."""
    given = {
        "user_vectors": USERS,
        "item_vectors": ITEMS,
        "user_augmented": augmented(OF_USERS),
        "item_augmented": augmented(OF_ITEMS),
    }
    return batch(USERS @ ITEMS.T, **{**given, **changes})


def mean(values: list[float], weights: list[float]) -> float:
    return sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)


@pytest.mark.parametrize("unit", [True, False])
def test_it_is_the_mean_squared_distance_of_each_to_what_it_met(unit: bool) -> None:
    expected = 0.5 * sum(USER_OFF[unit]) / 3 + 0.5 * sum(ITEM_OFF[unit]) / 3
    assert Mimic(unit=unit)(met()).item() == pytest.approx(expected)


def test_each_side_has_a_weight() -> None:
    user, item = sum(USER_OFF[True]) / 3, sum(ITEM_OFF[True]) / 3
    assert Mimic(user=1, item=0)(met()).item() == pytest.approx(user)
    assert Mimic(user=0, item=1)(met()).item() == pytest.approx(item)
    assert Mimic(user=3, item=0.25)(met()).item() == pytest.approx(3 * user + 0.25 * item)


def test_both_weights_at_zero_are_refused() -> None:
    with pytest.raises(ValidationError, match="at least one weight above 0"):
        Mimic(user=0, item=0)


def test_unit_leaves_the_length_of_an_augmented_vector_free() -> None:
    longer = met(user_augmented=augmented(7 * OF_USERS), item_augmented=augmented(7 * OF_ITEMS))
    torch.testing.assert_close(Mimic()(longer), Mimic()(met()))
    assert Mimic(unit=False)(longer) > Mimic(unit=False)(met())


def test_of_an_inner_product_unit_compares_directions() -> None:
    longer = met(user_vectors=5 * USERS, item_vectors=0.2 * ITEMS)
    torch.testing.assert_close(Mimic()(longer), Mimic()(met()))
    assert Mimic(unit=False)(longer) != Mimic(unit=False)(met())


def test_a_row_weighs_by_its_sample_weight() -> None:
    weight = [1.0, 3.0, 0.5]
    expected = 0.5 * mean(USER_OFF[True], weight) + 0.5 * mean(ITEM_OFF[True], weight)
    found = Mimic()(met(weight=torch.tensor(weight))).item()
    assert found == pytest.approx(expected)


def test_only_clicked_rows_count() -> None:
    expected = 0.5 * mean(USER_OFF[True], [1, 0, 1]) + 0.5 * mean(ITEM_OFF[True], [1, 0, 1])
    assert Mimic()(met(is_positive=labels(1, 0, 1))).item() == pytest.approx(expected)


def test_whoever_has_no_vector_of_its_own_does_not_count() -> None:
    some = met(
        user_augmented=augmented(OF_USERS, labels(0, 1, 1)),
        item_augmented=augmented(OF_ITEMS, labels(1, 1, 0)),
    )
    expected = 0.5 * mean(USER_OFF[True], [0, 1, 1]) + 0.5 * mean(ITEM_OFF[True], [1, 1, 0])
    assert Mimic()(some).item() == pytest.approx(expected)


def test_where_nobody_has_one_there_is_no_loss_and_no_gradient() -> None:
    vectors, nobody = torch.zeros(3, 2, requires_grad=True), labels(0, 0, 0)
    hidden = augmented(vectors, nobody)
    for unit in (True, False):
        found = Mimic(unit=unit)(met(user_augmented=hidden, item_augmented=hidden))
        assert found.item() == 0
        found.backward()  # type: ignore[no-untyped-call]
        assert vectors.grad is not None
        assert not vectors.grad.any()


def test_a_rows_item_is_that_of_its_own_column() -> None:
    """Two rows of one item, which stands in the last column."""
    own = torch.tensor([2, 0, 2])
    expected = sum(((OF_ITEMS[at] - USERS[row]) ** 2).mean() for row, at in enumerate(own)) / 3
    found = Mimic(user=0, item=1, unit=False)(met(own=own))
    torch.testing.assert_close(found, expected)


def leaves() -> dict[str, Tensor]:
    given = {"USERS": USERS, "ITEMS": ITEMS, "OF_USERS": OF_USERS, "OF_ITEMS": OF_ITEMS}
    return {name: one.clone().requires_grad_() for name, one in given.items()}


def test_no_gradient_reaches_what_the_towers_gave() -> None:
    leaf = leaves()
    Mimic(unit=False)(  # type: ignore[no-untyped-call]
        met(
            user_vectors=leaf["USERS"],
            item_vectors=leaf["ITEMS"],
            user_augmented=augmented(leaf["OF_USERS"]),
            item_augmented=augmented(leaf["OF_ITEMS"], labels(1, 0, 1)),
        )
    ).backward()
    assert leaf["USERS"].grad is None
    assert leaf["ITEMS"].grad is None
    # weight * 2 (a - p) / D, over three rows on one side and two on the other
    torch.testing.assert_close(leaf["OF_USERS"].grad, 0.5 * (OF_USERS - ITEMS) / 3)
    expected = 0.5 * (OF_ITEMS - USERS) / 2 * torch.tensor([[1.0], [0.0], [1.0]])
    torch.testing.assert_close(leaf["OF_ITEMS"].grad, expected)


def test_a_step_along_the_gradient_brings_a_vector_nearer_to_what_it_met() -> None:
    for unit in (True, False):
        leaf = leaves()
        loss = Mimic(unit=unit)(met(user_augmented=augmented(leaf["OF_USERS"])))
        loss.backward()  # type: ignore[no-untyped-call]
        assert leaf["OF_USERS"].grad is not None
        nearer = OF_USERS - 0.1 * leaf["OF_USERS"].grad
        assert Mimic(unit=unit)(met(user_augmented=augmented(nearer))) < loss
