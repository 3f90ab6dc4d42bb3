"""The tower of DSSM with SENet: features are weighed by what all of them say, then a network."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from training.towers.base import TowerKind
from training.towers.fields import Absent, Fields, bounded
from training.towers.perceptron import Activation, Sizes, mlp


class SenetConfig(TowerKind):
    """v = network(squeeze and excite(concat(content, context, preference))).

    After FiBiNET (Huang et al., RecSys 2019), in the shape EasyRec gives it. Each feature's
    vector is cut into `groups` even parts, or one a value if it has fewer; of each part the
    largest value and the mean are taken, and two layers, the first of which gives `1 / reduction`
    as many values as it takes, make of them a weight for every value of every feature. `skip`
    adds the features as they were; `layer_norm` normalises what comes out. The other options are
    those of `mlp`.
    """

    kind: Literal["senet"] = "senet"
    dim: int = Field(64, ge=1)
    embedding: int = Field(16, ge=1)
    groups: int = Field(2, ge=1)
    reduction: int = Field(4, ge=1)
    skip: bool = False
    layer_norm: bool = False
    hidden: Sizes = (128,)
    batch_norm: bool = True
    activation: Activation = "relu"
    dropout: float = Field(0.0, ge=0, lt=1)
    absent: Absent = "learned"

    def build(self, widths: Mapping[str, tuple[int, ...]]) -> "SenetTower":
        """Return a tower over groups whose features' vectors have these widths, in order."""
        return SenetTower(self, widths)


class SenetTower(nn.Module):
    """A network over the fields, once they are weighed."""

    def __init__(self, config: SenetConfig, widths: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        self.fields = Fields(widths, config.absent)
        self.senet = Senet(config, self.fields.widths)
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
        vector: Tensor = self.network(self.senet(self.fields(groups, present)))
        return vector


class Senet(nn.Module):
    """Squeeze and excite: x becomes x * w(x), element by element."""

    places: Tensor  # [parts, longest]: which values a part holds, its last one repeated
    repeated: Tensor  # [parts, longest]: whether it stands there only to fill the row up

    def __init__(self, config: SenetConfig, widths: Sequence[int]) -> None:
        super().__init__()
        parts = _parts(widths, config.groups)
        longest = max(map(len, parts))
        places = [[*part, *[part[-1]] * (longest - len(part))] for part in parts]
        repeated = [[at >= len(part) for at in range(longest)] for part in parts]
        self.register_buffer("places", torch.tensor(places), persistent=False)
        self.register_buffer("repeated", torch.tensor(repeated), persistent=False)
        squeezed, width = 2 * len(parts), sum(widths)
        self.reduce = nn.Linear(squeezed, max(1, squeezed // config.reduction))
        self.excite = nn.Linear(self.reduce.out_features, width)
        self.skip = config.skip
        self.norm = nn.LayerNorm(width) if config.layer_norm else nn.Identity()

    def squeeze(self, wide: Tensor) -> Tensor:
        """Return the largest value of every part, then every mean: float[batch, 2 * parts]."""
        parts = wide[:, self.places]  # [batch, parts, longest]
        sums = parts.masked_fill(self.repeated, 0.0).sum(2)
        return torch.cat([parts.amax(2), sums / (~self.repeated).sum(1)], dim=1)

    def forward(self, wide: Tensor) -> Tensor:
        """Return float[batch, sum(widths)]."""
        wide = bounded(wide, 2)
        weighed = wide * self.excite(functional.relu(self.reduce(self.squeeze(wide))))
        found: Tensor = self.norm(weighed + wide if self.skip else weighed)
        return found


def _parts(widths: Sequence[int], groups: int) -> list[list[int]]:
    """Return the values that each part holds; of a width that does not divide the first get more.

    A feature of fewer values than groups gives a part for each of its values.
    """
    parts, start = [], 0
    for width in widths:
        count = min(groups, width)
        ends = [start + (part * width + count - 1) // count for part in range(count + 1)]
        parts += [list(range(*both)) for both in zip(ends, ends[1:], strict=False)]
        start += width
    return parts
