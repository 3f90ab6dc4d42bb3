from typing import get_args

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from training.towers import TowerConfig
from training.towers.additive import AdditiveConfig
from training.towers.dropoutnet import DropoutNetConfig
from training.towers.perceptron import mlp

MEMBERS = get_args(get_args(TowerConfig)[0])
DIM = 6
Member = type[AdditiveConfig | DropoutNetConfig]


def built(member: Member, **options: object) -> tuple[torch.nn.Module, list[str]]:
    """Build a tower over content (3 features), context (1) and preference (2)."""
    width = {"embedding": DIM} if "embedding" in member.model_fields else {}
    config = member.model_validate({"dim": DIM, **width, **options})
    features = {"content": 3, "context": 1, "preference": 2}
    tower = config.build({group: (config.embedding,) * n for group, n in features.items()})
    with torch.no_grad():  # what begins at zero would hide what a term does
        for parameter in tower.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return tower.eval(), list(features)


def drawn(rows: int, seed: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return {
        "content": torch.randn(rows, 3 * DIM),
        "context": torch.randn(rows, DIM),
        "preference": torch.randn(rows, 2 * DIM),
    }


def presence(*values: bool) -> Tensor:
    return torch.tensor(values).unsqueeze(1)


@pytest.mark.parametrize("hidden", [(), (8,), (8, 4)])
@pytest.mark.parametrize("member", MEMBERS)
def test_a_tower_gives_one_vector_a_row_whatever_else_is_in_the_batch(
    member: Member, hidden: tuple[int, ...]
) -> None:
    tower, _ = built(member, hidden=hidden)
    groups, present = drawn(5), presence(True, False, True, True, False)
    together = tower(groups, present)
    assert together.shape == (5, DIM)
    for row in range(5):
        alone = tower({name: g[row : row + 1] for name, g in groups.items()}, present[row, None])
        torch.testing.assert_close(alone[0], together[row])


@pytest.mark.parametrize("hidden", [(), (8,)])
@pytest.mark.parametrize("member", MEMBERS)
def test_without_presence_no_preference_value_matters(
    member: Member, hidden: tuple[int, ...]
) -> None:
    tower, _ = built(member, hidden=hidden)
    one, other = drawn(2), drawn(2, seed=1)
    other = {**one, "preference": other["preference"]}
    before, after = (tower(groups, presence(False, True)) for groups in (one, other))
    assert torch.equal(before[0], after[0])
    assert not torch.allclose(before[1], after[1])


@pytest.mark.parametrize("member", MEMBERS)
def test_every_group_and_every_parameter_counts(member: Member) -> None:
    torch.manual_seed(0)
    tower, names = built(member, hidden=(8,))
    groups = {name: group.requires_grad_() for name, group in drawn(4).items()}
    tower(groups, presence(True, True, False, False)).square().sum().backward()
    for name in names:
        gradient = groups[name].grad
        assert gradient is not None
        assert gradient.any(), name
    for name, parameter in tower.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("member", MEMBERS)
def test_a_side_without_preference_needs_no_presence(member: Member) -> None:
    tower = member(dim=DIM).build({"content": (DIM,)})
    assert tower({"content": torch.ones(2, DIM)}, None).shape == (2, DIM)


@pytest.mark.parametrize("member", MEMBERS)
def test_neuron_dropout_acts_in_training_only(member: Member) -> None:
    tower, _ = built(member, hidden=(64,), dropout=0.5)
    groups, present = drawn(3), presence(True, True, True)
    assert torch.equal(tower(groups, present), tower(groups, present))
    tower.train()
    assert not torch.allclose(tower(groups, present), tower(groups, present))


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize(("option", "value"), [("dim", 0), ("dropout", 1), ("width", 3)])
def test_a_wrong_option_is_named(member: Member, option: str, value: int) -> None:
    with pytest.raises(ValidationError, match=option):
        member.model_validate({option: value})


def test_an_additive_tower_begins_as_the_sum_of_its_features() -> None:
    tower = AdditiveConfig(dim=2, hidden=(4,)).build({"content": (2, 2), "preference": (2,)})
    groups = {
        "content": torch.tensor([[1.0, 2.0, 10.0, 20.0]] * 2),
        "preference": torch.tensor([[100.0, 200.0]] * 2),
    }
    found = tower(groups, presence(True, False))
    assert found.tolist() == [[111.0, 222.0], [11.0, 22.0]]


def test_a_feature_of_another_width_is_mapped_and_others_are_untouched() -> None:
    tower = AdditiveConfig(dim=3).build({"content": (3, 2, 4)})
    wide = torch.tensor([[1.0, 2.0, 3.0, 10.0, 20.0, 100.0, 200.0, 300.0, 400.0]])
    assert tower({"content": wide}, None).tolist() == [[111.0, 222.0, 303.0]]  # begins as identity
    shapes = {name: tuple(p.shape) for name, p in tower.named_parameters() if "maps" in name}
    assert shapes == {
        "groups.content.maps.1.weight": (3, 2),
        "groups.content.maps.2.weight": (3, 4),
    }


def test_a_learned_default_stands_for_absent_preference() -> None:
    tower = AdditiveConfig(dim=2).build({"content": (2,), "preference": (2,)})
    with torch.no_grad():
        tower.default.copy_(torch.tensor([5.0, 7.0]))
    groups = {"content": torch.ones(1, 2), "preference": torch.full((1, 2), torch.nan)}
    assert tower(groups, presence(False)).tolist() == [[6.0, 8.0]]


def test_a_perceptron_has_the_layers_asked_for() -> None:
    kinds = [type(layer).__name__ for layer in mlp(3, (5, 4), 2, 0.1)]
    assert kinds == ["Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]
    assert [type(layer).__name__ for layer in mlp(3, (), 2, 0.1)] == ["Linear"]
