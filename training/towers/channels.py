"""The channels of a parallel tower: each looks at the same features in another way."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from export.contract.strict import Strict
from training.towers.fields import Even, bounded
from training.towers.perceptron import Sizes

Network = Callable[[int, Sequence[int]], nn.Sequential]
"""How a channel makes a network: how wide what comes in is, and the sizes of its layers."""


class MlpChannel(Strict):
    """A network over the features beside each other, of layers of the sizes `hidden`."""

    kind: Literal["mlp"] = "mlp"
    hidden: Sizes = Field((128, 32), min_length=1)

    @property
    def size(self) -> int:
        """How many values the channel gives."""
        return self.hidden[-1]

    def build(self, widths: Sequence[int], even: int, network: Network) -> nn.Module:
        """Return the channel over features' vectors of these widths; `even` is not needed."""
        del even
        return network(sum(widths), self.hidden)


class FmChannel(Strict):
    """The sum of the inner products of all pairs of features: one value."""

    kind: Literal["fm"] = "fm"

    @property
    def size(self) -> int:
        """One value."""
        return 1

    def build(self, widths: Sequence[int], even: int, network: Network) -> nn.Module:
        """Return the channel over features' vectors, each brought to width `even`."""
        del network
        return Pairs(Even(widths, even))


class CrossChannel(Strict):
    """Products of the features' values: `layers` of them, and a network over what they give."""

    kind: Literal["cross"] = "cross"
    layers: int = Field(3, ge=1)
    hidden: Sizes = Field((32,), min_length=1)

    @property
    def size(self) -> int:
        """How many values the network gives."""
        return self.hidden[-1]

    def build(self, widths: Sequence[int], even: int, network: Network) -> nn.Module:
        """Return the channel over features' vectors of these widths; `even` is not needed."""
        del even
        width = sum(widths)
        return nn.Sequential(Cross(width, self.layers), *network(width, self.hidden))


class CinChannel(Strict):
    """Products of whole features' vectors: one value for each of the `maps` of each layer."""

    kind: Literal["cin"] = "cin"
    maps: Sizes = Field((16, 16, 16), min_length=1)

    @property
    def size(self) -> int:
        """How many maps there are in all layers."""
        return sum(self.maps)

    def build(self, widths: Sequence[int], even: int, network: Network) -> nn.Module:
        """Return the channel over features' vectors, each brought to width `even`."""
        del network
        return Cin(Even(widths, even), self.maps)


Channel = Annotated[MlpChannel | FmChannel | CrossChannel | CinChannel, Field(discriminator="kind")]


class Pairs(nn.Module):
    """The second order of a factorization machine (Rendle, ICDM 2010).

    Each feature meets the sum of those before it. The usual form, half of squared sum less sum
    of squares, is the same but for rounding: where one vector is long it takes two large numbers
    from each other.
    """

    def __init__(self, even: Even) -> None:
        super().__init__()
        self.even = even

    def forward(self, wide: Tensor) -> Tensor:
        """Return float[batch, 1]."""
        fields = bounded(self.even(wide), 2)  # [batch, features, width]
        before = fields.cumsum(1)[:, :-1]
        return (before * fields[:, 1:]).sum((1, 2)).unsqueeze(1)


class Cross(nn.Module):
    """x_{l+1} = x_0 * (W_l x_l + b_l) + x_l: DCN-v2 (Wang et al., WWW 2021), W of full rank."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(nn.Linear(width, width) for _ in range(count))

    def forward(self, wide: Tensor) -> Tensor:
        """Return float[batch, width]."""
        found = first = bounded(wide, len(self.steps) + 1)
        for step in self.steps:
            found = first * step(found) + found
        return found


class Cin(nn.Module):
    """The compressed interaction network of xDeepFM (Lian et al., KDD 2018).

    Map h of layer k is ReLU(sum over i, j of W[h, i, j] * (map i of layer k - 1) * (feature j)),
    element by element; every map of every layer is summed up to one value.
    """

    def __init__(self, even: Even, maps: Sequence[int]) -> None:
        super().__init__()
        self.even = even
        count = len(even.widths)
        self.steps = nn.ModuleList(
            nn.Conv1d(before * count, size, 1, bias=False)
            for before, size in pairwise((count, *maps))
        )

    def forward(self, wide: Tensor) -> Tensor:
        """Return float[batch, sum(maps)]."""
        found = first = bounded(self.even(wide), len(self.steps) + 1)  # [batch, features, width]
        sums = []
        for step in self.steps:
            products = found.unsqueeze(2) * first.unsqueeze(1)  # [batch, maps, features, width]
            found = functional.relu(step(products.flatten(1, 2)))
            sums.append(found.sum(2))
        return torch.cat(sums, dim=1)
