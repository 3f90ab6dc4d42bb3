"""Sampled softmax over the candidates of a batch, with temperature and logQ correction."""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor
from torch.nn import functional

from training.losses.base import CandidateLoss, Scored, weighted_mean
from training.span import Span


class InBatchSoftmax(CandidateLoss):
    """-log softmax of each clicked row's own item among the candidates.

    logits = score / temperature - log q (`logq: classic`; Yi et al., RecSys 2019,
    "Sampling-Bias-Corrected Neural Modeling", eq. 5), so that an item often seen as a negative
    for being popular is not pushed down for it.

    `cold_odds` is how many times likelier a click on an item without preference is taken to be
    than training says, by a smaller q: an item nobody knows yet is scored as the mean of the
    catalogue, so at 1 the popular ones leave it no place in a list they all compete for. More
    lifts cold items among warm ones and costs recall of the warm.
    """

    searched: ClassVar[Mapping[str, Span]] = {"temperature": Span(0.03, 0.5)}

    kind: Literal["in_batch_softmax"] = "in_batch_softmax"
    temperature: float = Field(0.1, gt=0)
    logq: Literal["off", "classic"] = "classic"
    cold_odds: float = Field(1.0, gt=0)

    @field_validator("logq", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: object) -> object:
        """YAML 1.1 reads an unquoted `off` as false."""
        return "off" if value is False else value

    def __call__(self, batch: Scored) -> Tensor:
        """Return the weighted mean over clicked rows; 0 where none has weight."""
        logits = batch.scores / self.temperature
        if self.logq == "classic":
            logits = logits - batch.log_q
        logits = logits - math.log(self.cold_odds) * batch.cold
        kept = self.held_against(batch).scatter(1, batch.own.unsqueeze(1), True)
        rows = batch.is_positive
        losses = functional.cross_entropy(
            logits.masked_fill(~kept, -torch.inf)[rows], batch.own[rows], reduction="none"
        )
        return weighted_mean(losses, batch.weight[rows])
