"""The tower of DSSM: one network over all features side by side."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from training.growing.pieces import Cuts, Names, under
from training.towers.base import TowerKind
from training.towers.fields import Absent, Fields
from training.towers.perceptron import Activation, Sizes, mlp


class MlpConfig(TowerKind):
    """v = network(concat(content, context, preference)).

    After Huang et al., CIKM 2013, in the shape EasyRec gives it. `hidden` are the sizes of the
    hidden layers: linear, batch norm unless `batch_norm` is false, `activation`, neuron dropout
    (`dropout`); the last layer is linear. `embedding` is the width of a feature's vector.
    Absent preference is a learned vector of the group's width, or `zeros`.
    """

    kind: Literal["mlp"] = "mlp"
    dim: int = Field(64, ge=1)
    embedding: int = Field(16, ge=1)
    hidden: Sizes = (128,)
    batch_norm: bool = True
    activation: Activation = "relu"
    dropout: float = Field(0.0, ge=0, lt=1)
    absent: Absent = "learned"

    def build(self, widths: Mapping[str, tuple[int, ...]]) -> "MlpTower":
        """Return a tower over groups whose features' vectors have these widths, in order."""
        return MlpTower(self, widths)


class MlpTower(nn.Module):
    """A network over the fields."""

    def __init__(self, config: MlpConfig, widths: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        self.fields = Fields(widths, config.absent)
        self.network = mlp(
            sum(self.fields.widths),
            config.hidden,
            config.dim,
            config.dropout,
            batch_norm=config.batch_norm,
            activation=config.activation,
        )

    def forward(self, groups: Mapping[str, Tensor], present: Tensor | None) -> Tensor:
        """Return float[batch, dim], of any length; see `Fields` for the arguments."""
        vector: Tensor = self.network(self.fields(groups, present))
        return vector

    def cuts(self, names: Names) -> Cuts:
        """Return what follows the features: what stands for absent ones, and what reads them."""
        first = self.network.get_parameter("0.weight")
        return {
            **under("fields", self.fields.cuts(names)),
            "network.0.weight": self.fields.cut(first, names),
        }
