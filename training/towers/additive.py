"""The additive tower: a network for each group, summed; absence switches a term."""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from export.contract.strict import Strict
from training.towers.mlp import mlp


class AdditiveConfig(Strict):
    """v = content(x_c) + context(x_x) + (preference(x_p) if present else a learned default).

    `embedding` is the width of one feature's vector, `hidden` the sizes of each network's hidden
    layers (none: one linear map), `dropout` the neuron dropout between them.
    """

    kind: Literal["additive"] = "additive"
    dim: int = Field(64, ge=1)
    embedding: int = Field(32, ge=1)
    hidden: tuple[int, ...] = ()
    dropout: float = Field(0.0, ge=0, lt=1)

    def build(self, widths: Mapping[str, int]) -> "AdditiveTower":
        """Return a tower over groups of these widths; a group of width 0 has no network."""
        return AdditiveTower(self, widths)


class AdditiveTower(nn.Module):
    """Sums a network of each group; without preference its term is a learned default."""

    def __init__(self, config: AdditiveConfig, widths: Mapping[str, int]) -> None:
        super().__init__()
        self.networks = nn.ModuleDict(
            {
                group: mlp(width, config.hidden, config.dim, config.dropout)
                for group, width in widths.items()
                if width
            }
        )
        self.default = nn.Parameter(torch.zeros(config.dim))

    def forward(self, groups: Mapping[str, Tensor], present: Tensor | None) -> Tensor:
        """Return float[batch, dim], of any length.

        Args:
            groups: Group name to its wide vector, float[batch, width].
            present: bool[batch, 1]; None where the side has no preference features.

        """
        always = [group for group in self.networks if group != "preference"]
        terms = [self.networks[group](groups[group]) for group in always]
        if present is not None:
            preference = self.networks["preference"](groups["preference"])
            terms.append(torch.where(present, preference, self.default))
        return torch.stack(terms).sum(0)
