"""DropoutNet's tower: a network for content, one for preference, and one over both."""

from collections.abc import Mapping
from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from training.growing.pieces import Cut, Cuts, Names, views
from training.towers.base import TowerKind
from training.towers.perceptron import Activation, Sizes, layers


class DropoutNetConfig(TowerKind):
    """v = tower(concat(content network(content, context), preference network(preference))).

    After Volkovs et al., NIPS 2017, in the shape EasyRec gives it. `content`, `preference` and
    `hidden` are the sizes of the three networks' hidden layers: linear, batch norm unless
    `batch_norm` is false, `activation`, neuron dropout (`dropout`); none: what comes in is passed
    on. The last layer of the tower is linear. `tower_batch_norm` speaks for the network over both;
    by default it does as the other two. `embedding` is the width of a feature's vector.

    Absent preference is a learned vector of the group's width, or `zeros`. `rescale` divides
    preference in sight by the share of the batch's rows that have it, in training only: the
    1 / (1 - p) of inverted dropout. Serving then sees smaller values than training did.
    """

    kind: Literal["dropoutnet"] = "dropoutnet"
    dim: int = Field(64, ge=1)
    embedding: int = Field(16, ge=1)
    content: Sizes = (128,)
    preference: Sizes = (128,)
    hidden: Sizes = (128,)
    batch_norm: bool = True
    tower_batch_norm: bool | None = None
    activation: Activation = "relu"
    dropout: float = Field(0.0, ge=0, lt=1)
    absent: Literal["learned", "zeros"] = "learned"
    rescale: bool = False

    def build(self, widths: Mapping[str, tuple[int, ...]]) -> "DropoutNetTower":
        """Return a tower over groups whose features' vectors have these widths, in order."""
        return DropoutNetTower(self, widths)


class DropoutNetTower(nn.Module):
    """Two networks side by side, and the tower over them; a side may lack one of the two."""

    def __init__(self, config: DropoutNetConfig, widths: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        self.attributes = [name for name in ("content", "context") if name in widths]
        self.rescale = config.rescale
        self.widths = dict(widths)
        self.content: nn.Sequential | None = None
        self.preference: nn.Sequential | None = None
        network = partial(
            layers,
            dropout=config.dropout,
            batch_norm=config.batch_norm,
            activation=config.activation,
        )
        wide = 0
        if self.attributes:
            width = sum(sum(widths[name]) for name in self.attributes)
            self.content = network(width, config.content)
            wide += [width, *config.content][-1]
        if "preference" in widths:
            width = sum(widths["preference"])
            self.preference = network(width, config.preference)
            wide += [width, *config.preference][-1]
            default = torch.zeros(width)
            if config.absent == "learned":
                self.default = nn.Parameter(default)
            else:
                self.register_buffer("default", default)
        normed = config.batch_norm if config.tower_batch_norm is None else config.tower_batch_norm
        self.tower = network(wide, config.hidden, batch_norm=normed)
        self.last = nn.Linear([wide, *config.hidden][-1], config.dim)

    def forward(self, groups: Mapping[str, Tensor], present: Tensor | None) -> Tensor:
        """Return float[batch, dim], of any length.

        Args:
            groups: Group name to its wide vector, float[batch, sum(widths)].
            present: bool[batch, 1]; None where the side has no preference features.
        """
        parts = []
        if self.content is not None:
            attributes = torch.cat([groups[name] for name in self.attributes], dim=1)
            parts.append(self.content(attributes))
        if self.preference is not None and present is not None:
            known = groups["preference"]
            if self.rescale and self.training:
                known = known / present.float().mean().clamp_min(1 / len(present))
            parts.append(self.preference(torch.where(present, known, self.default)))
        vector: Tensor = self.last(self.tower(torch.cat(parts, dim=1)))
        return vector

    def cuts(self, names: Names) -> Cuts:
        """Return what follows the features: what stands for absent ones, and what reads them.

        A network without hidden layers passes its features on, to be read by the next.
        """
        parts = {
            group: list(zip(names[group], self.widths[group], strict=True)) for group in self.widths
        }
        found: Cuts = {}
        over: list[tuple[str, int]] = []  # what the network over both reads
        for own, groups in (("content", self.attributes), ("preference", ["preference"])):
            network = getattr(self, own)
            if network is None:
                continue
            read = [part for group in groups for part in parts[group]]
            if len(network):
                weight = network.get_parameter("0.weight")
                found[f"{own}.0.weight"] = Cut(views(weight, 1, read))
                read = [(f"({own})", int(weight.shape[0]))]
            over += read
        first = "tower.0.weight" if len(self.tower) else "last.weight"
        found[first] = Cut(views(self.get_parameter(first), 1, over))
        if self.preference is not None:
            found["default"] = Cut(views(self.default, 0, parts["preference"]))
        return found
