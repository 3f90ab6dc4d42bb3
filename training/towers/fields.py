"""Fields: the vectors of a side's features, beside each other or of one width, within bounds."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from export.contract.features.base import FARTHEST
from training.growing.pieces import Cut, Cuts, Names, views

Absent = Literal["learned", "zeros"]


class Fields(nn.Module):
    """Sets all groups beside each other; what stands for absent preference is learned, or zeros.

    `widths` are those of the features' vectors, in the order in which they come out.
    """

    def __init__(self, widths: Mapping[str, tuple[int, ...]], absent: Absent) -> None:
        super().__init__()
        self.groups = list(widths)
        self.by_group = dict(widths)
        self.widths = tuple(width for group in widths.values() for width in group)
        if "preference" in widths:
            default = torch.zeros(sum(widths["preference"]))
            if absent == "learned":
                self.default = nn.Parameter(default)
            else:
                self.register_buffer("default", default)

    def forward(self, groups: Mapping[str, Tensor], present: Tensor | None) -> Tensor:
        """Return float[batch, sum(widths)].

        Args:
            groups: Group name to its wide vector.
            present: bool[batch, 1]; None where the side has no preference features.
        """
        found = dict(groups)
        if present is not None:
            found["preference"] = torch.where(present, groups["preference"], self.default)
        return torch.cat([found[group] for group in self.groups], dim=1)

    def cuts(self, names: Names) -> Cuts:
        """Return what stands for absent preference, by feature."""
        if "preference" not in names:
            return {}
        of = zip(names["preference"], self.by_group["preference"], strict=True)
        return {"default": Cut(views(self.default, 0, of))}

    def cut(self, weight: Tensor, names: Names) -> Cut:
        """Return a matrix that reads the fields, [any, sum(widths)], by feature."""
        order = [name for group in self.groups for name in names[group]]
        return Cut(views(weight, 1, zip(order, self.widths, strict=True)))


class Even(nn.ModuleDict):
    """Brings every feature's vector to one width: a matrix for each that has another.

    It begins as the identity, so that equal narrow vectors match at first.
    """

    def __init__(self, widths: Sequence[int], width: int) -> None:
        others = {str(place): own for place, own in enumerate(widths) if own != width}
        super().__init__({place: _identity(own, width) for place, own in others.items()})
        self.widths, self.width = list(widths), width

    def forward(self, wide: Tensor) -> Tensor:
        """Return float[batch, features, width] of float[batch, sum(widths)]."""
        if len(self):
            parts = list(wide.split_with_sizes(self.widths, dim=1))
            for place, module in self.items():
                parts[int(place)] = module(parts[int(place)])
            wide = torch.cat(parts, dim=1)
        return wide.view(-1, len(self.widths), self.width)

    def cuts(self, names: Sequence[str]) -> Cuts:
        """Return each matrix as that of its feature, whatever its place."""
        return {
            f"{place}.weight": Cut({names[int(place)]: module.get_parameter("weight")}, "weight")
            for place, module in self.items()
        }


def bounded(values: Tensor, degree: int) -> Tensor:
    """Hold values so that no product of `degree` of them is beyond what the encoder lets through.

    Else a number that is absurd, but within the encoder's bound, would overflow its powers.
    """
    most = FARTHEST ** (1 / degree)
    return values.clamp(-most, most)


def _identity(width: int, target: int) -> nn.Linear:
    linear = nn.Linear(width, target, bias=False)
    nn.init.eye_(linear.weight)
    return linear
