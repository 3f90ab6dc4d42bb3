from collections.abc import Sequence
from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from export.contract.features.base import FARTHEST
from training.towers.channels import Cin, CinChannel, Cross, CrossChannel, MlpChannel, Pairs
from training.towers.fields import Even
from training.towers.perceptron import layers


def rows(*widths: int, count: int = 5) -> Tensor:
    torch.manual_seed(0)
    return torch.randn(count, sum(widths))


def plain(width: int, hidden: Sequence[int]) -> nn.Sequential:
    return layers(width, hidden, 0.0)


def test_the_second_order_is_the_sum_over_pairs_and_half_the_square_less_squares() -> None:
    wide = rows(*[3] * 6)
    found = Pairs(Even([3] * 6, 3))(wide)
    fields = wide.view(5, 6, 3)
    naive = sum((fields[:, i] * fields[:, j]).sum(1) for i, j in combinations(range(6), 2))
    assert isinstance(naive, Tensor)
    torch.testing.assert_close(found, naive.unsqueeze(1))
    identity = (fields.sum(1).square() - fields.square().sum(1)).sum(1) / 2
    torch.testing.assert_close(found[:, 0], identity)


def test_the_second_order_by_hand() -> None:
    wide = torch.tensor([[1.0, 2.0, 3.0, 4.0, -1.0, 5.0]])
    assert Pairs(Even([2] * 3, 2))(wide).tolist() == [[11 + 9 + 17]]
    assert Pairs(Even([2], 2))(wide[:, :2]).tolist() == [[0]]  # one feature, no pair


def test_a_long_vector_does_not_swallow_the_pairs_of_the_others() -> None:
    """Squared sum less sum of squares would: 1e5 squared and back loses the 0.5."""
    wide = torch.tensor([[1e5, 0.0, 0.0, 0.5, 0.0, 1.0]])
    assert Pairs(Even([2] * 3, 2))(wide).tolist() == [[0.5]]


def test_uneven_vectors_meet_by_what_they_are_mapped_to() -> None:
    pairs = Pairs(Even((2, 1), 2))
    with torch.no_grad():
        pairs.even.get_parameter("1.weight").copy_(torch.tensor([[10.0], [100.0]]))
    assert pairs(torch.tensor([[1.0, 2.0, 3.0]])).tolist() == [[1 * 30 + 2 * 300]]


def weigh(cross: Cross, *steps: tuple[list[list[float]], list[float]]) -> Cross:
    with torch.no_grad():
        for linear, (weight, bias) in zip(cross.steps, steps, strict=True):
            assert isinstance(linear, nn.Linear)
            linear.weight.copy_(torch.tensor(weight))
            linear.bias.copy_(torch.tensor(bias))
    return cross


def test_a_cross_layer_by_hand() -> None:
    """[2, 3] * ([1 * 2 + 2 * 3, -1 * 3] + [1, 1]) + [2, 3] = [2, 3] * [9, -2] + [2, 3]."""
    step = ([[1.0, 2.0], [0.0, -1.0]], [1.0, 1.0])
    wide = torch.tensor([[2.0, 3.0]])
    assert weigh(Cross(2, 1), step)(wide).tolist() == [[20, -3]]
    again = ([[0.0, 1.0], [1.0, 0.0]], [0.0, 2.0])
    # [2, 3] * [-3, 20 + 2] + [20, -3]: products are of what came in first.
    assert weigh(Cross(2, 2), step, again)(wide).tolist() == [[14, 63]]


def test_a_cross_channel_is_a_network_over_its_last_layer() -> None:
    channel = CrossChannel(layers=2, hidden=(7, 4))
    module = channel.build((2, 3), 9, plain)
    assert [type(one).__name__ for one in module.children()] == [
        *("Cross", "Linear", "ReLU", "Linear", "ReLU")
    ]
    assert module(rows(2, 3)).shape == (5, channel.size) == (5, 4)


def test_a_layer_of_maps_by_hand() -> None:
    """Features [1, 2] and [3, -1]; the map of [1*1, 2*2], [1*3, 2*-1], ..., [3*3, -1*-1]."""
    cin = Cin(Even([2, 2], 2), (2,))
    step = cin.steps[0]
    assert isinstance(step, nn.Conv1d)
    with torch.no_grad():
        step.weight.copy_(torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, -1.0, 1.0]])[..., None])
    # [1, 4] + [3, -2] = [4, 2], of sum 6; [9, 1] - [3, -2] = [6, 3], of sum 9
    assert cin(torch.tensor([[1.0, 2.0, 3.0, -1.0]])).tolist() == [[6, 9]]
    with torch.no_grad():
        step.weight.copy_(torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])[..., None])
    assert cin(torch.tensor([[1.0, 2.0, 3.0, -1.0]])).tolist() == [[5, 3]]  # [3, -2] is cut to 3


def test_maps_are_those_of_the_layer_before_times_the_features() -> None:
    cin = Cin(Even([2, 2, 2], 2), (4, 3))
    wide = rows(2, 2, 2)
    fields = wide.view(5, 3, 2)
    found, sums = fields, []
    for step, size in zip(cin.steps, (4, 3), strict=True):
        assert isinstance(step, nn.Conv1d)
        weight = step.weight.view(size, found.shape[1], 3)
        found = torch.einsum("hij,bid,bjd->bhd", weight, found, fields).clamp_min(0)
        sums.append(found.sum(2))
    torch.testing.assert_close(cin(wide), torch.cat(sums, dim=1))
    assert CinChannel(maps=(4, 3)).size == 7


def test_an_mlp_channel_is_a_network_over_all_features() -> None:
    channel = MlpChannel(hidden=(7, 4))
    module = channel.build((2, 3), 9, plain)
    assert [type(one).__name__ for one in module.children()] == ["Linear", "ReLU"] * 2
    assert module(rows(2, 3)).shape == (5, channel.size) == (5, 4)


@pytest.mark.parametrize("deep", [1, 3, 8])
def test_powers_of_an_absurd_number_stay_finite_however_deep(deep: int) -> None:
    wide = torch.tensor([[FARTHEST, 1.0, -FARTHEST, 0.5]])
    cin = Cin(Even([2, 2], 2), (2,) * deep)
    for module in (Cross(4, deep), cin, Pairs(Even([2, 2], 2))):
        assert module(wide).square().sum().isfinite(), module
