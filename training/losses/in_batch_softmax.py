"""Sampled softmax over the candidates of a batch, with temperature and logQ correction."""

import math
from typing import Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor
from torch.nn import functional

from export.contract.strict import Strict
from training.losses.base import Scored


class InBatchSoftmax(Strict):
    """-log softmax of each row's own item among the candidates.

    logits = score / temperature - log q (`logq: classic`; Yi et al., RecSys 2019,
    "Sampling-Bias-Corrected Neural Modeling", eq. 5), so that an item often seen as a negative
    for being popular is not pushed down for it. `mask_accidental_hits` takes the row's item out
    of its negatives where it stands in another column, `mask_known_positives` the other items
    the user clicked in training.

    `cold_odds` is how many times likelier a click on an item without preference is taken to be
    than training says, by a smaller q: an item nobody knows yet is scored as the mean of the
    catalogue, so at 1 the popular ones leave it no place in a list they all compete for. More
    lifts cold items among warm ones and costs recall of the warm.
    """

    kind: Literal["in_batch_softmax"] = "in_batch_softmax"
    temperature: float = Field(0.1, gt=0)
    logq: Literal["off", "classic"] = "classic"
    cold_odds: float = Field(1.0, gt=0)
    mask_accidental_hits: bool = True
    mask_known_positives: bool = True
    weight: float = Field(1.0, gt=0)

    @field_validator("logq", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: object) -> object:
        """YAML 1.1 reads an unquoted `off` as false."""
        return "off" if value is False else value

    def __call__(self, batch: Scored) -> Tensor:
        """Return the weighted mean over rows; 0 where no row has weight."""
        logits = batch.scores / self.temperature
        if self.logq == "classic":
            logits = logits - batch.log_q
        logits = logits - math.log(self.cold_odds) * batch.cold
        rows = torch.arange(len(logits))
        masked = torch.zeros_like(batch.same_item)
        if self.mask_accidental_hits:
            masked |= batch.same_item
        if self.mask_known_positives:
            masked |= batch.known_positive
        masked[rows, rows] = False
        losses = functional.cross_entropy(
            logits.masked_fill(masked, -torch.inf), rows, reduction="none"
        )
        return (losses * batch.weight).sum() / batch.weight.sum().clamp_min(1e-12)
