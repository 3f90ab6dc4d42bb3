from itertools import product
from typing import Any, get_args

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from export.contract.features.base import FARTHEST
from training.augmented import AUGMENTED
from training.towers import TowerConfig
from training.towers.additive import AdditiveConfig
from training.towers.channels import Channel
from training.towers.parallel import ParallelConfig
from training.towers.perceptron import mlp

MEMBERS: tuple[Any, ...] = get_args(get_args(TowerConfig)[0])
DIM = 6
FEATURES = {"content": 3, "context": 1, "preference": 2}
CHANNELS: list[dict[str, Any]] = [
    {"kind": "mlp", "hidden": [8, 2]},
    {"kind": "fm"},
    {"kind": "cross", "layers": 2, "hidden": [2]},
    {"kind": "cin", "maps": [1]},
]
FORMS: dict[str, list[dict[str, Any]]] = {  # of each kind, ways to build it
    **dict.fromkeys(
        ("additive", "dropoutnet", "dat", "mlp", "senet"),
        [{"hidden": hidden} for hidden in ((8,), (8, 4), ())],
    ),
    "parallel": [
        {"channels": CHANNELS},
        {"channels": CHANNELS, "projection": False},
        *({"channels": [one]} for one in CHANNELS),
    ],
}
FORMS["senet"] = [
    *FORMS["senet"],
    *({"skip": skip, "layer_norm": norm} for skip, norm in product((True, False), repeat=2)),
    {"groups": 4},
]


NETWORK = {"dim": 5, "batch_norm": False, "dropout": 0.5, "absent": "zeros", "embedding": 4}
TANH = {"activation": "tanh"}
CHANGES: dict[str, dict[str, Any]] = {  # of each kind, every option with a value that is not usual
    "additive": {"dim": 5, "hidden": [3], "dropout": 0.5},
    "dropoutnet": {
        **NETWORK,
        **dict.fromkeys(("content", "preference", "hidden"), [3]),
        "tower_batch_norm": False,
        **TANH,
        "rescale": True,
    },
    "dat": {"dim": 5, "embedding": 4, "hidden": [3], "batch_norm": False, "dropout": 0.5, **TANH},
    "mlp": {**NETWORK, **TANH, "hidden": [3]},
    "senet": {
        **NETWORK,
        **TANH,
        "hidden": [3],
        "groups": 1,
        "reduction": 1,
        "skip": True,
        "layer_norm": True,
    },
    "parallel": {**NETWORK, "channels": CHANNELS[:3], "projection": False},
}
CHANNEL_CHANGES: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": [8, 3]},
    "fm": {},
    "cross": {"layers": 1, "hidden": [3]},
    "cin": {"maps": [2]},
}


def kind_of(member: Any) -> str:
    return str(member.model_fields["kind"].default)


EACH = pytest.mark.parametrize("member", MEMBERS, ids=kind_of)
EVERY_FORM = pytest.mark.parametrize(
    ("member", "form"),
    [
        pytest.param(member, form, id=f"{kind_of(member)}-{number}")
        for member in MEMBERS
        for number, form in enumerate(FORMS[kind_of(member)])
    ],
)


def built(member: Any, **options: object) -> torch.nn.Module:
    """Build a tower over content (3 features), context (1) and preference (2)."""
    width = {"embedding": DIM} if "embedding" in member.model_fields else {}
    config = member.model_validate({"dim": DIM, **width, **options})
    torch.manual_seed(4)
    widths = {group: (config.embedding,) * n for group, n in FEATURES.items()}
    tower = config.build(widths | ({AUGMENTED: (config.dim,)} if member.takes_augmented else {}))
    with torch.no_grad():  # what begins at zero would hide what a term does
        for parameter in tower.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    found: torch.nn.Module = tower.eval()
    return found


def drawn(rows: int, seed: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return {name: torch.randn(rows, n * DIM) for name, n in {**FEATURES, AUGMENTED: 1}.items()}


def presence(*values: bool) -> Tensor:
    return torch.tensor(values).unsqueeze(1)


@EVERY_FORM
def test_a_tower_gives_one_vector_a_row_whatever_else_is_in_the_batch(
    member: Any, form: dict[str, Any]
) -> None:
    tower = built(member, **form)
    groups, present = drawn(5), presence(True, False, True, True, False)
    together = tower(groups, present)
    assert together.shape == (5, DIM)
    for row in range(5):
        alone = tower({name: g[row : row + 1] for name, g in groups.items()}, present[row, None])
        torch.testing.assert_close(alone[0], together[row])


@EVERY_FORM
def test_without_presence_no_preference_value_matters(member: Any, form: dict[str, Any]) -> None:
    tower = built(member, **form)
    one, other = drawn(2), drawn(2, seed=1)
    other = {**one, "preference": other["preference"]}
    before, after = (tower(groups, presence(False, True)) for groups in (one, other))
    assert torch.equal(before[0], after[0])
    assert not torch.allclose(before[1], after[1])


@EACH
def test_every_group_and_every_parameter_counts(member: Any) -> None:
    tower = built(member, **FORMS[kind_of(member)][0])
    names = {*FEATURES, *([AUGMENTED] if member.takes_augmented else [])}
    groups = {name: group.requires_grad_() for name, group in drawn(4).items() if name in names}
    tower(groups, presence(True, True, False, False)).square().sum().backward()
    for name, group in groups.items():
        assert group.grad is not None
        assert group.grad.any(), name
    for name, parameter in tower.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@EACH
def test_a_side_without_preference_needs_no_presence(member: Any) -> None:
    tower = member(dim=DIM).build({"content": (DIM,)})
    assert tower({"content": torch.ones(2, DIM)}, None).shape == (2, DIM)


@EACH
def test_a_learned_default_is_trained_and_absent_preference_reads_it(member: Any) -> None:
    tower = built(member, **FORMS[kind_of(member)][0])
    (default,) = (p for name, p in tower.named_parameters() if name.split(".")[-1] == "default")
    before = tower(drawn(2), presence(True, False))
    with torch.no_grad():
        default.add_(1.0)
    after = tower(drawn(2), presence(True, False))
    assert torch.equal(before[0], after[0])
    assert not torch.allclose(before[1], after[1])


@EVERY_FORM
def test_the_largest_numbers_that_an_encoder_lets_through_give_finite_vectors(
    member: Any, form: dict[str, Any]
) -> None:
    """Their squares can be summed up, too, as they are to bring a vector to length 1."""
    tower = built(member, **form)
    for farthest in (FARTHEST, -FARTHEST):
        groups = {name: group.clone() for name, group in drawn(2).items()}
        groups["content"][:, 1:3] = farthest
        assert tower(groups, presence(True, False)).square().sum(1).isfinite().all()


@EACH
def test_neuron_dropout_acts_in_training_only(member: Any) -> None:
    tower = built(member, **(FORMS[kind_of(member)][0] | {"dropout": 0.5}))
    groups, present = drawn(3), presence(True, True, True)
    assert torch.equal(tower(groups, present), tower(groups, present))
    tower.train()
    assert not torch.allclose(tower(groups, present), tower(groups, present))


@EACH
@pytest.mark.parametrize(("option", "value"), [("dim", 0), ("dropout", 1), ("width", 3)])
def test_a_wrong_option_is_named(member: Any, option: str, value: int) -> None:
    with pytest.raises(ValidationError, match=option):
        member.model_validate({option: value})


@pytest.mark.parametrize("member", [m for m in MEMBERS if "hidden" in m.model_fields], ids=kind_of)
def test_a_layer_of_no_values_is_refused(member: Any) -> None:
    with pytest.raises(ValidationError, match=r"hidden\.1"):
        member.model_validate({"hidden": [4, 0]})


def effect(member: Any, form: dict[str, Any]) -> tuple[dict[str, Any], list[list[float]]]:
    """Return what a tower is made of, and what it gives in training."""
    tower = built(member, **form).train()
    width = form.get("dim" if member is AdditiveConfig else "embedding", DIM)
    torch.manual_seed(2)
    groups = {name: torch.randn(4, width * n) for name, n in FEATURES.items()}
    groups[AUGMENTED] = torch.randn(4, form.get("dim", DIM))
    found: Tensor = tower(groups, presence(True, False, True, False))
    return {name: p.shape for name, p in tower.named_parameters()}, found.tolist()


def test_every_option_of_every_tower_is_tested_for_what_it_changes() -> None:
    options = {kind_of(m): {*m.model_fields} - {"kind"} for m in MEMBERS}
    assert options == {kind: {*changes} for kind, changes in CHANGES.items()}
    channels = get_args(get_args(Channel)[0])
    options = {kind_of(one): {*one.model_fields} - {"kind"} for one in channels}
    assert options == {kind: {*changes} for kind, changes in CHANNEL_CHANGES.items()}


@pytest.mark.parametrize(
    ("member", "option"),
    [pytest.param(m, o, id=f"{kind_of(m)}.{o}") for m in MEMBERS for o in CHANGES[kind_of(m)]],
)
def test_every_option_changes_what_a_tower_is_or_gives(member: Any, option: str) -> None:
    base = FORMS[kind_of(member)][0]
    changed = base | {option: CHANGES[kind_of(member)][option]}
    assert effect(member, base) != effect(member, changed)


@pytest.mark.parametrize(
    ("kind", "option"),
    [(kind, one) for kind, changes in CHANNEL_CHANGES.items() for one in changes],
)
def test_every_option_of_a_channel_changes_what_its_tower_is_or_gives(
    kind: str, option: str
) -> None:
    (base,) = (one for one in CHANNELS if one["kind"] == kind)
    changed = base | {option: CHANNEL_CHANGES[kind][option]}
    assert effect(ParallelConfig, {"channels": [base]}) != effect(
        ParallelConfig, {"channels": [changed]}
    )


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
    normed = [type(layer).__name__ for layer in mlp(3, (5,), 2, 0, batch_norm=True)]
    assert normed == ["Linear", "BatchNorm", "ReLU", "Linear"]
    assert [type(layer).__name__ for layer in mlp(3, (), 2, 0.1)] == ["Linear"]


@pytest.mark.parametrize("member", [m for m in MEMBERS if "activation" in m.model_fields])
def test_tanh_stands_in_place_of_relu_in_every_hidden_layer(member: Any) -> None:
    found = {}
    for activation in ("relu", "tanh"):
        config = member.model_validate({"dim": DIM, "hidden": [3], "activation": activation})
        tower = config.build({"content": (DIM,), AUGMENTED: (DIM,)})
        found[activation] = [type(layer).__name__ for layer in tower.modules()]
    assert "Tanh" not in found["relu"]
    assert found["tanh"] == [{"ReLU": "Tanh"}.get(name, name) for name in found["relu"]]
    assert "Tanh" in found["tanh"]
