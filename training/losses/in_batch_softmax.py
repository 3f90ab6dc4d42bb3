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
    for being popular is not pushed down for it. There the row's own item is corrected as if it
    had been drawn. It never is: `refined` leaves its score as it is and takes log(n q) off each
    of the n candidates, so that they stand for the sum over the whole catalogue. The gradient is
    that of -sg(1 - P) * (f - log sum exp(f' - log(n q))) with f' of the candidates only and P the
    chance of the row's own item (Khrylchenko et al., RecSys 2025, arXiv 2507.09331, the final
    loss; sg is no gradient): sg(1 - P) is what the derivative of -log P puts before it.

    `cold_odds` is how many times likelier a click on an item without preference is taken to be
    than training says, by a smaller q: an item nobody knows yet is scored as the mean of the
    catalogue, so at 1 the popular ones leave it no place in a list they all compete for. More
    lifts cold items among warm ones and costs recall of the warm.
    """

    searched: ClassVar[Mapping[str, Span]] = {"temperature": Span(0.03, 0.5)}

    kind: Literal["in_batch_softmax"] = "in_batch_softmax"
    temperature: float = Field(0.1, gt=0)
    logq: Literal["off", "classic", "refined"] = "classic"
    cold_odds: float = Field(1.0, gt=0)

    @field_validator("logq", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: object) -> object:
        """YAML 1.1 reads an unquoted `off` as false."""
        return "off" if value is False else value

    def __call__(self, batch: Scored) -> Tensor:
        """Return the weighted mean over clicked rows; 0 where none has weight."""
        offset = -self._correction(batch)
        if self.cold_odds != 1:
            offset = offset - math.log(self.cold_odds) * batch.cold
        kept = self.held_against(batch).scatter(1, batch.own.unsqueeze(1), True)
        # Facts of the batch come first: of what is added to the scores nothing has a gradient.
        offset = torch.where(kept, offset, -torch.inf)
        logits = torch.add(offset, batch.scores, alpha=1 / self.temperature)
        own, weight = batch.own, batch.weight
        rows = batch.is_positive
        if not rows.all():
            logits, own, weight = logits[rows], own[rows], weight[rows]
        return weighted_mean(functional.cross_entropy(logits, own, reduction="none"), weight)

    def _correction(self, batch: Scored) -> Tensor:
        """Return what is taken off the logits: float[B, C], or of less where it is the same."""
        if self.logq == "off":
            return torch.zeros(1, 1)
        if self.logq == "classic":
            return batch.log_q
        own = batch.own.unsqueeze(1)
        drawn = batch.candidate.scatter(1, own, False).sum(1, keepdim=True)  # [B, 1]
        # Without a law that rows share log q is 0: its candidates stand for themselves.
        has_law = (batch.log_q < 0).any(1, keepdim=True)
        count = torch.where(has_law, drawn, 1).clamp_min(1)
        return (batch.log_q + count.log()).scatter(1, own, 0.0)
