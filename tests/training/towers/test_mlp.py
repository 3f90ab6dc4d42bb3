import pytest
import torch

from training.towers.mlp import MlpConfig, MlpTower

WIDTHS = {"content": (2, 1), "preference": (2,)}
GROUPS = {
    "content": torch.tensor([[1.0, 2.0, 3.0]] * 2),
    "preference": torch.tensor([[5.0, 6.0]] * 2),
}
PRESENT = torch.tensor([[True], [False]])


def built(**options: object) -> MlpTower:
    return MlpConfig.model_validate({"dim": 3, **options}).build(WIDTHS)


def test_one_network_reads_all_features_and_its_last_layer_is_linear() -> None:
    kinds = [type(layer).__name__ for layer in built(hidden=[5, 4], dropout=0.1).network]
    layer = ["Linear", "BatchNorm", "ReLU", "Dropout"]
    assert kinds == [*layer, *layer, "Linear"]
    plain = built(hidden=[5, 4], batch_norm=False)
    assert [type(layer).__name__ for layer in plain.network] == ["Linear", "ReLU"] * 2 + ["Linear"]
    shapes = {n: tuple(p.shape) for n, p in plain.named_parameters() if p.dim() == 2}
    assert shapes == {
        "network.0.weight": (5, 5),
        "network.2.weight": (4, 5),
        "network.4.weight": (3, 4),
    }


@pytest.mark.parametrize("absent", ["learned", "zeros"])
def test_without_layers_it_is_a_linear_map_of_the_concatenation(absent: str) -> None:
    tower = built(hidden=[], absent=absent)
    with torch.no_grad():
        tower.fields.default.fill_(0.7 if absent == "learned" else 0.0)
    known = [1.0, 2.0, 3.0]
    missing = [0.7, 0.7] if absent == "learned" else [0.0, 0.0]
    wide = torch.tensor([[*known, 5.0, 6.0], [*known, *missing]])
    torch.testing.assert_close(tower(GROUPS, PRESENT), tower.network(wide))
