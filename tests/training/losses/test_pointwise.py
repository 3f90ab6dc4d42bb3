import math

import pytest
import torch

from tests.training.losses.made import batch, labels
from training.losses.pointwise import Pointwise

OWN = [0.4, -0.1, 0.2]
LABELS = labels(1, 0, 1)


def test_it_equals_its_formula_worked_by_hand() -> None:
    weight = [1.0, 2.0, 0.5]
    found = Pointwise(scale=3.0, bias=-0.5).build()(
        batch(torch.diag(torch.tensor(OWN)), is_positive=LABELS, weight=torch.tensor(weight))
    )
    chance = [1 / (1 + math.exp(-(3 * s - 0.5))) for s in OWN]
    each = [-math.log(c if y else 1 - c) for c, y in zip(chance, LABELS.tolist(), strict=True)]
    expected = sum(w * one for w, one in zip(weight, each, strict=True)) / 3.5
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_its_gradients_are_those_of_a_logistic_regression() -> None:
    own = torch.tensor(OWN, requires_grad=True)
    module = Pointwise(scale=3.0, bias=-0.5).build()
    module(batch(torch.diag(own), is_positive=LABELS)).backward()
    off = torch.sigmoid(3 * torch.tensor(OWN) - 0.5) - LABELS.float()
    assert own.grad is not None
    torch.testing.assert_close(own.grad, 3 * off / 3)
    gradients = {name: one.grad for name, one in module.named_parameters()}
    torch.testing.assert_close(gradients["bias"], off.mean())
    torch.testing.assert_close(gradients["log_scale"], (off * torch.tensor(OWN) * 3).mean())


def test_scale_and_bias_can_stay_as_they_are() -> None:
    fixed, free = Pointwise(learned=False).build(), Pointwise().build()
    assert [one.requires_grad for one in fixed.parameters()] == [False, False]
    assert [one.requires_grad for one in free.parameters()] == [True, True]


def test_a_scale_confines_or_frees_the_chance() -> None:
    """At scale 1 a cosine of 1 leaves -log sigmoid(1); at 10 next to nothing."""
    best = batch(torch.diag(torch.tensor([1.0, -1.0])), is_positive=labels(1, 0))
    bare = Pointwise(scale=1.0).build()(best).item()
    assert bare == pytest.approx(math.log1p(math.exp(-1)), rel=1e-5)
    assert Pointwise().build()(best).item() < 1e-4
    assert Pointwise(bias=5.0).build()(best) > Pointwise().build()(best)
