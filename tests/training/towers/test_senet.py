import pytest
import torch
from torch import Tensor

from training.towers.senet import Senet, SenetConfig


def senet(widths: tuple[int, ...], **options: object) -> Senet:
    return Senet(SenetConfig.model_validate({"skip": False, **options}), widths)


def written(module: Senet, reduce: list[list[float]], excite: list[list[float]]) -> Senet:
    """Give both layers these weights, without any bias."""
    with torch.no_grad():
        module.reduce.weight.copy_(torch.tensor(reduce))
        module.excite.weight.copy_(torch.tensor(excite))
        module.reduce.bias.zero_()
        module.excite.bias.zero_()
    return module


def squeezed(widths: tuple[int, ...], groups: int, wide: list[float]) -> tuple[list[float], ...]:
    """Return the largest values and the means of the parts."""
    found = senet(widths, groups=groups).squeeze(torch.tensor([wide]))[0].tolist()
    return found[: len(found) // 2], found[len(found) // 2 :]


def test_a_feature_is_squeezed_to_the_largest_value_and_the_mean_of_each_part() -> None:
    largest, means = squeezed((4, 2), 2, [1, 5, -2, -4, 7, -8])
    assert largest == [5, -2, 7, -8]
    assert means == [3, -3, 7, -8]


@pytest.mark.parametrize(
    ("groups", "parts"),
    [
        (1, [[1, 5, 3, -2, -4], [7], [2, 6]]),
        (2, [[1, 5, 3], [-2, -4], [7], [2], [6]]),  # 5 values in 3 and 2; 1 value is one part
        (3, [[1, 5], [3, -2], [-4], [7], [2], [6]]),
        (9, [[1], [5], [3], [-2], [-4], [7], [2], [6]]),
    ],
)
def test_widths_that_do_not_divide_give_parts_as_even_as_can_be(
    groups: int, parts: list[list[float]]
) -> None:
    largest, means = squeezed((5, 1, 2), groups, [1, 5, 3, -2, -4, 7, 2, 6])
    assert largest == [max(part) for part in parts]
    assert means == pytest.approx([sum(part) / len(part) for part in parts])


def test_a_part_is_not_filled_up_with_values_that_count() -> None:
    """Whatever stands in the longer parts: each sees its own values only."""
    assert squeezed((3, 1), 1, [-1, -2, -6, -9]) == ([-1, -9], [-3, -9])


def hand_made(**options: object) -> Tensor:
    """Two features of two values, one part each: z = [max, max, mean, mean] = [3, 2, 2, 1]."""
    module = written(
        senet((2, 2), groups=1, reduction=2, **options),
        [[1.0, 0.0, 1.0, 0.0], [0.0, -1.0, 0.0, -1.0]],  # 3 + 2 = 5, and ReLU(-3) = 0
        [[1.0, 9.0], [0.0, 9.0], [-1.0, 9.0], [0.5, 9.0]],  # 5, 0, -5, 2.5
    )
    found: Tensor = module(torch.tensor([[1.0, 3.0, 2.0, 0.0]]))
    return found[0]


def test_every_value_is_excited_by_a_weight_of_its_own() -> None:
    assert hand_made().tolist() == [5, 0, -10, 0]


def test_skip_adds_the_features_as_they_were() -> None:
    assert hand_made(skip=True).tolist() == [6, 3, -8, 0]


def test_layer_norm_brings_a_row_to_mean_0_and_deviation_1_after_the_skip() -> None:
    for skip in (False, True):
        normed, plain = hand_made(layer_norm=True, skip=skip), hand_made(skip=skip)
        expected = (plain - plain.mean()) / plain.std(correction=0)
        torch.testing.assert_close(normed, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("groups", "reduction", "told", "reduced"),
    [(2, 4, 22, 5), (1, 2, 12, 6), (2, 3, 22, 7), (2, 100, 22, 1)],
)
def test_the_first_layer_reduces_what_was_told(
    groups: int, reduction: int, told: int, reduced: int
) -> None:
    """Of five features of four values, and one of a single value."""
    module = senet((4, 4, 4, 4, 4, 1), groups=groups, reduction=reduction)
    assert tuple(module.reduce.weight.shape) == (reduced, told)
    assert tuple(module.excite.weight.shape) == (21, reduced)


def test_what_no_weight_excites_is_lost_but_for_the_skip() -> None:
    for skip in (False, True):
        module = written(senet((2, 2), groups=1, skip=skip), [[0.0] * 4], [[0.0]] * 4)
        wide = torch.tensor([[1.0, 3.0, 2.0, 0.0]])
        assert torch.equal(module(wide), wide * skip)
