import math

import torch

from training.ranker.dice import MOMENTUM, Dice


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_in_training_it_bends_where_the_batch_lies() -> None:
    dice = Dice(2)
    with torch.no_grad():
        dice.alpha.copy_(torch.tensor([0.25, 0.0]))
    # Channel 1: mean 1, variance 1; channel 2: mean 0, variance 4.
    found = dice(torch.tensor([[0.0, -2.0], [2.0, 2.0]]))
    share = sigmoid(1.0)
    expected = [[0.0, -2 * (1 - share)], [2 * (share + (1 - share) * 0.25), 2 * share]]
    assert torch.allclose(found, torch.tensor(expected), atol=1e-6)


def test_afterwards_it_goes_by_moving_averages_whatever_the_batch() -> None:
    dice = Dice(1)
    dice(torch.tensor([[3.0], [7.0]]))  # mean 5, variance 4
    mean, variance = MOMENTUM * 5, (1 - MOMENTUM) + MOMENTUM * 4
    assert torch.allclose(dice.mean, torch.tensor([mean]))
    assert torch.allclose(dice.variance, torch.tensor([variance]))
    dice.eval()
    alone, among = dice(torch.tensor([[2.0]])), dice(torch.tensor([[2.0], [900.0]]))
    expected = 2 * sigmoid((2 - mean) / math.sqrt(variance))
    assert alone.item() == among[0].item()
    assert math.isclose(alone.item(), expected, rel_tol=1e-6)
    assert torch.allclose(dice.mean, torch.tensor([mean]))


def test_alpha_is_learned_by_channel() -> None:
    dice = Dice(3)
    dice(torch.randn(8, 3)).square().sum().backward()
    assert dice.alpha.grad is not None
    assert len(set(dice.alpha.grad.tolist())) == 3


def test_places_that_do_not_count_leave_the_statistics_alone() -> None:
    values = torch.randn(2, 3, 4)
    counted = torch.tensor([[True, True, False], [True, False, False]])
    one, other = Dice(4), Dice(4)
    found = one(values, counted)
    expected = other(values[counted])
    assert torch.allclose(found[counted], expected, atol=1e-6)
    assert torch.equal(one.mean, other.mean)
    assert torch.equal(one.variance, other.variance)


def test_a_batch_in_which_nothing_counts_changes_nothing() -> None:
    dice = Dice(2)
    found = dice(torch.randn(2, 3, 2), torch.zeros(2, 3, dtype=torch.bool))
    assert torch.isfinite(found).all()
    assert torch.equal(dice.mean, torch.zeros(2))
