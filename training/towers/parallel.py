"""The tower of Parallel DSSM: several channels look at the same features side by side."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from training.towers.base import TowerKind
from training.towers.channels import Channel, CinChannel, CrossChannel, FmChannel, MlpChannel
from training.towers.fields import Absent, Fields
from training.towers.perceptron import layers

DIM = 64


def _dim(known: dict[str, Any]) -> int:
    """Return the dim of a tower that names none."""
    return DIM if known["projection"] else sum(one.size for one in known["channels"])


class ParallelConfig(TowerKind):
    """v = projection(concat(channel(content, context, preference) for each channel)).

    After EasyRec's Parallel DSSM, which has no projection: with `projection: false` the vector is
    what the channels give, and `dim` is as many values as that. Where a channel wants vectors of
    one width, a feature of another than `embedding` is mapped to it. `batch_norm` and `dropout`
    are of the channels' networks. Absent preference is a learned vector of the group's width, or
    `zeros`.
    """

    kind: Literal["parallel"] = "parallel"
    embedding: int = Field(16, ge=1)
    channels: tuple[Channel, ...] = Field(
        (MlpChannel(), CrossChannel(), FmChannel(), CinChannel()), min_length=1
    )
    projection: bool = True
    batch_norm: bool = True
    dropout: float = Field(0.0, ge=0, lt=1)
    absent: Absent = "learned"
    dim: int = Field(default_factory=_dim, ge=1)

    @model_validator(mode="after")
    def _dim_is_what_there_is(self) -> Self:
        given = sum(one.size for one in self.channels)
        if not self.projection and self.dim != given:
            raise ValueError(
                f"without projection the vector has the {given} values that the channels give; "
                f"got dim {self.dim}"
            )
        return self

    def build(self, widths: Mapping[str, tuple[int, ...]]) -> "ParallelTower":
        """Return a tower over groups whose features' vectors have these widths, in order."""
        return ParallelTower(self, widths)


class ParallelTower(nn.Module):
    """The channels over the fields, and the projection of what they give."""

    def __init__(self, config: ParallelConfig, widths: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        self.fields = Fields(widths, config.absent)
        network = partial(layers, dropout=config.dropout, batch_norm=config.batch_norm)
        self.channels = nn.ModuleList(
            one.build(self.fields.widths, config.embedding, network) for one in config.channels
        )
        given = sum(one.size for one in config.channels)
        self.projection = nn.Linear(given, config.dim) if config.projection else nn.Identity()

    def forward(self, groups: Mapping[str, Tensor], present: Tensor | None) -> Tensor:
        """Return float[batch, dim], of any length; see `Fields` for the arguments."""
        wide = self.fields(groups, present)
        found: Tensor = self.projection(torch.cat([one(wide) for one in self.channels], dim=1))
        return found
