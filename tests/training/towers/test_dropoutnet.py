import pytest
import torch
from torch import Tensor, nn

from training.towers.dropoutnet import DropoutNetConfig, DropoutNetTower
from training.towers.perceptron import BatchNorm

WIDTHS = {"content": (2, 1), "context": (1,), "preference": (2,)}


def groups(rows: int = 4, seed: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return {name: torch.randn(rows, sum(widths)) for name, widths in WIDTHS.items()}


def flags(*values: bool) -> Tensor:
    return torch.tensor(values).unsqueeze(1)


EVERYWHERE, HALF = flags(True, True, True, True), flags(True, False, True, False)


def built(**options: object) -> DropoutNetTower:
    torch.manual_seed(1)
    return DropoutNetConfig.model_validate({"dim": 3, **options}).build(WIDTHS)


def bare(**options: object) -> DropoutNetTower:
    """Build a tower that is one linear map, of what comes in."""
    return built(content=(), preference=(), hidden=(), **options)


def kinds(network: nn.Sequential | None) -> list[str]:
    assert network is not None
    return [type(layer).__name__ for layer in network]


def test_two_networks_feed_a_third_whose_last_layer_is_linear() -> None:
    tower = built(content=(5,), preference=(4, 7), hidden=(6,), dropout=0.1)
    layer = ["Linear", "BatchNorm", "ReLU", "Dropout"]
    assert kinds(tower.content) == kinds(tower.tower) == layer
    assert kinds(tower.preference) == layer * 2
    shapes = {n: tuple(p.shape) for n, p in tower.named_parameters() if p.dim() == 2}
    assert shapes == {
        "content.0.weight": (5, 4),  # content and context
        "preference.0.weight": (4, 2),
        "preference.4.weight": (7, 4),
        "tower.0.weight": (6, 12),
        "last.weight": (3, 6),
    }


def test_without_layers_it_is_a_linear_map_of_what_comes_in() -> None:
    tower, found = bare(), groups()
    wide = torch.cat([found["content"], found["context"], found["preference"]], dim=1)
    torch.testing.assert_close(tower(found, EVERYWHERE), tower.last(wide))


@pytest.mark.parametrize("absent", ["zeros", "learned"])
def test_absence_is_zeros_or_a_learned_vector(absent: str) -> None:
    tower, found = bare(absent=absent), groups()
    with torch.no_grad():
        tower.default.fill_(0.0 if absent == "zeros" else 0.7)
    missing = torch.full((4, 2), tower.default[0].item())
    wide = torch.cat([found["content"], found["context"], missing], dim=1)
    nowhere = flags(False, False, False, False)
    torch.testing.assert_close(tower(found, nowhere), tower.last(wide))
    learned = [name for name, _ in tower.named_parameters() if name == "default"]
    assert learned == (["default"] if absent == "learned" else [])


def test_a_learned_default_is_trained() -> None:
    tower = built()
    tower(groups(), HALF).square().sum().backward()
    assert tower.default.grad is not None
    assert tower.default.grad.any()


def test_rescale_divides_by_the_share_in_sight_in_training_only() -> None:
    """With half of the rows in sight what is there is doubled: 1 / (1 - p)."""
    plain, scaled = bare(absent="zeros"), bare(absent="zeros", rescale=True)
    found = groups()
    doubled = {**found, "preference": 2 * found["preference"]}
    torch.testing.assert_close(scaled(found, HALF), plain(doubled, HALF))
    torch.testing.assert_close(scaled(found, EVERYWHERE), plain(found, EVERYWHERE))
    scaled.eval()
    torch.testing.assert_close(scaled(found, HALF), plain(found, HALF))


def test_rescale_of_a_batch_without_preference_is_no_number_divided_by_zero() -> None:
    found = bare(absent="zeros", rescale=True)(groups(1), flags(False))
    assert torch.isfinite(found).all()


def test_batch_norm_evens_a_batch_out_in_training_and_not_in_serving() -> None:
    scaled = {name: 50 * group + 7 for name, group in groups().items()}
    normed, plain = built(), built(batch_norm=False)
    near = normed(groups(), EVERYWHERE) - normed(scaled, EVERYWHERE)
    far = plain(groups(), EVERYWHERE) - plain(scaled, EVERYWHERE)
    assert near.abs().max() < 0.1 < far.abs().max()
    normed.eval()
    together = normed(groups(), HALF)
    alone = normed({n: g[:1] for n, g in groups().items()}, HALF[:1])
    torch.testing.assert_close(together[:1], alone)


def test_a_batch_of_one_row_is_trained_on_by_the_running_statistics() -> None:
    norm = BatchNorm(2)
    for _ in range(200):
        norm(torch.randn(64, 2) * 3 + 5)
    one = torch.tensor([[8.0, 5.0]])
    assert norm.running_mean is not None
    before = norm.running_mean.clone()
    found = norm(one)
    assert found.tolist() == [[pytest.approx(1, abs=0.15), pytest.approx(0, abs=0.15)]]
    assert torch.equal(norm.running_mean, before)
    torch.testing.assert_close(found, norm.eval()(one))
    assert torch.isfinite(built()(groups(1), flags(True))).all()


@pytest.mark.parametrize("missing", ["content", "context", "preference"])
def test_a_side_may_lack_a_group(missing: str) -> None:
    widths = {name: one for name, one in WIDTHS.items() if name != missing}
    tower = DropoutNetConfig(dim=3).build(widths)
    found = {name: group for name, group in groups().items() if name != missing}
    present = None if missing == "preference" else HALF
    assert tower(found, present).shape == (4, 3)


def test_a_perceptrons_layers_need_no_batch_norm() -> None:
    assert kinds(built(batch_norm=False).tower) == ["Linear", "ReLU"]


def test_tanh_stands_in_place_of_relu_in_all_three_networks() -> None:
    tower = built(content=(5,), preference=(4,), activation="tanh")
    for network in (tower.content, tower.preference, tower.tower):
        assert "Tanh" in kinds(network)
        assert "ReLU" not in kinds(network)


@pytest.mark.parametrize(("inner", "outer"), [(True, False), (False, True)])
def test_the_network_over_both_may_differ_in_batch_norm(inner: bool, outer: bool) -> None:
    tower = built(content=(5,), preference=(4,), batch_norm=inner, tower_batch_norm=outer)
    assert [("BatchNorm" in kinds(n)) for n in (tower.content, tower.preference)] == [inner] * 2
    assert ("BatchNorm" in kinds(tower.tower)) == outer
