"""The dual augmented tower: a network over the features and a vector of the entity's own id."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from training.augmented import AUGMENTED
from training.growing.pieces import Cut, Cuts, Names, views
from training.towers.base import TowerKind
from training.towers.perceptron import Activation, Sizes, layers


class DATConfig(TowerKind):
    """v = network(concat(content, context, preference, augmented vector)).

    After Yu et al., DLP-KDD 2021. The augmented vector is the side's own id, the preference
    feature with `aggregate: identity`, which has to have the tower's `dim`; the loss `mimic`
    moves it to what clicked from the other side. Whoever is cold has a learned default in its
    place, and another for the rest of its preference, so no row that was never trained is read.

    `hidden` are the sizes of the network's hidden layers: linear, batch norm unless `batch_norm`
    is false, `activation`, neuron dropout (`dropout`); the last layer is linear. `embedding` is
    the width of a feature's vector.
    """

    takes_augmented: ClassVar[bool] = True

    kind: Literal["dat"] = "dat"
    dim: int = Field(64, ge=1)
    embedding: int = Field(16, ge=1)
    hidden: Sizes = (128,)
    batch_norm: bool = True
    activation: Activation = "relu"
    dropout: float = Field(0.0, ge=0, lt=1)

    def build(self, widths: Mapping[str, tuple[int, ...]]) -> "DATTower":
        """Return a tower over groups whose features' vectors have these widths, in order."""
        return DATTower(self, widths)


class DATTower(nn.Module):
    """One network over all groups side by side."""

    def __init__(self, config: DATConfig, widths: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        order = ("content", "context", "preference", AUGMENTED)
        self.groups = [name for name in order if name in widths]
        self.widths = dict(widths)
        if "preference" in widths:
            self.default = nn.Parameter(torch.zeros(sum(widths["preference"])))
        wide = sum(sum(widths[name]) for name in self.groups)
        self.network = layers(
            wide,
            config.hidden,
            config.dropout,
            batch_norm=config.batch_norm,
            activation=config.activation,
        )
        self.last = nn.Linear([wide, *config.hidden][-1], config.dim)

    def forward(self, groups: Mapping[str, Tensor], present: Tensor | None) -> Tensor:
        """Return float[batch, dim], of any length.

        Args:
            groups: Group name to its wide vector, float[batch, sum(widths)].
            present: bool[batch, 1]; None where the side has no preference features.
        """
        parts = {name: groups[name] for name in self.groups}
        if "preference" in parts and present is not None:
            parts["preference"] = torch.where(present, parts["preference"], self.default)
        vector: Tensor = self.last(self.network(torch.cat(list(parts.values()), dim=1)))
        return vector

    def cuts(self, names: Names) -> Cuts:
        """Return what follows the features: what stands for absent ones, and what reads them."""
        parts = {
            group: list(zip(names[group], self.widths[group], strict=True)) for group in self.groups
        }
        first = "network.0.weight" if len(self.network) else "last.weight"
        all_ = [part for group in self.groups for part in parts[group]]
        found = {first: Cut(views(self.get_parameter(first), 1, all_))}
        if "preference" in parts:
            found["default"] = Cut(views(self.default, 0, parts["preference"]))
        return found
