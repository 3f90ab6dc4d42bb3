"""Binary cross entropy of single rows: will what is shown be clicked."""

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from training.losses.base import LossKind, Scored, weighted_mean


class Pointwise(LossKind):
    """-log of the chance given to what happened, sigmoid(scale * score + bias).

    A bare cosine keeps the chance between .27 and .73; so `scale` (kept above 0) and `bias` begin
    as said here and are learned with the towers, unless `learned` is false.
    """

    needs_exposures: ClassVar[bool] = True

    kind: Literal["pointwise"] = "pointwise"
    scale: float = Field(10.0, gt=0)
    bias: float = 0.0
    learned: bool = True

    def build(self) -> nn.Module:
        """Return the module with scale and bias."""
        return CrossEntropy(self)


class CrossEntropy(nn.Module):
    """The weighted mean over rows, clicked or not."""

    def __init__(self, config: Pointwise) -> None:
        super().__init__()
        scale, bias = torch.tensor(math.log(config.scale)), torch.tensor(config.bias)
        self.log_scale = nn.Parameter(scale, requires_grad=config.learned)
        self.bias = nn.Parameter(bias, requires_grad=config.learned)

    def forward(self, batch: Scored) -> Tensor:
        """Return the loss of a batch; 0 where no row has weight."""
        logits = batch.own_scores * self.log_scale.exp() + self.bias
        losses = functional.binary_cross_entropy_with_logits(
            logits, batch.is_positive.to(logits.dtype), reduction="none"
        )
        return weighted_mean(losses, batch.weight)
