"""The additive tower: every feature adds its vector, a network adds what features say together."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from training.growing.pieces import Cut, Cuts, Names, under, views
from training.towers.base import TowerKind
from training.towers.fields import Even
from training.towers.perceptron import Sizes, mlp


class AdditiveConfig(TowerKind):
    """v = content + context + (preference if present else a learned default).

    A group is the sum of its features' vectors, each scaled by a learned gate (and, where its
    width is not `dim`, mapped to it by a matrix), plus a network over all of them that begins at
    zero (`hidden`: the sizes of its hidden layers, ReLU; none: no network). So two features that
    share a table match from the first step on, as content neighbours do, and training only has
    to improve on that. `dropout` is the neuron dropout of the networks.
    """

    kind: Literal["additive"] = "additive"
    dim: int = Field(64, ge=1)
    hidden: Sizes = ()
    dropout: float = Field(0.0, ge=0, lt=1)

    @property
    def embedding(self) -> int:
        """The width of one feature's vector: that of the tower, since the vectors are summed."""
        return self.dim

    def build(self, widths: Mapping[str, tuple[int, ...]]) -> "AdditiveTower":
        """Return a tower over groups whose features' vectors have these widths, in order."""
        return AdditiveTower(self, widths)


class AdditiveTower(nn.Module):
    """Sums the groups; without preference its term is a learned default."""

    def __init__(self, config: AdditiveConfig, widths: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        self.groups = nn.ModuleDict({g: AdditiveGroup(config, w) for g, w in widths.items()})
        self.bias = nn.Parameter(torch.zeros(config.dim))
        self.default = nn.Parameter(torch.zeros(config.dim))

    def forward(self, groups: Mapping[str, Tensor], present: Tensor | None) -> Tensor:
        """Return float[batch, dim], of any length.

        Args:
            groups: Group name to its wide vector, float[batch, sum(widths)].
            present: bool[batch, 1]; None where the side has no preference features.
        """
        total = self.bias
        for group, module in self.groups.items():
            term = module(groups[group])
            if group == "preference" and present is not None:
                term = torch.where(present, term, self.default)
            total = total + term
        return total

    def cuts(self, names: Names) -> Cuts:
        """Return what follows the features: their gates, and all that reads their vectors."""
        found: Cuts = {}
        for group, module in self.groups.items():
            assert isinstance(module, AdditiveGroup)
            found |= under(f"groups.{group}", module.cuts(names[group]))
        return found


class AdditiveGroup(nn.Module):
    """The gated sum of one group's features, and a network beside it."""

    def __init__(self, config: AdditiveConfig, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.ones(len(widths), 1))
        self.maps = Even(widths, config.dim)
        self.network: nn.Sequential | None = None
        if config.hidden:
            self.network = mlp(sum(widths), config.hidden, config.dim, config.dropout)
            nn.init.zeros_(self.network[-1].weight)  # type: ignore[arg-type]
            nn.init.zeros_(self.network[-1].bias)  # type: ignore[arg-type]

    def forward(self, wide: Tensor) -> Tensor:
        """Return float[batch, dim]."""
        total: Tensor = (self.maps(wide) * self.gate).sum(1)
        return total if self.network is None else total + self.network(wide)

    def cuts(self, names: Sequence[str]) -> Cuts:
        """Return gates, maps and what the network reads, by feature."""
        found = {"gate": Cut(views(self.gate, 0, [(name, 1) for name in names]))}
        found |= under("maps", self.maps.cuts(names))
        if self.network is not None:
            weight = self.network[0].weight
            assert isinstance(weight, Tensor)
            of = zip(names, self.maps.widths, strict=True)
            found["network.0.weight"] = Cut(views(weight, 1, of))
        return found
