"""Softmax against sampled negatives, in which those above the positive count for more."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from training.losses.base import CandidateLoss, Scored, weighted_mean
from training.span import Span


class SVSoftmax(CandidateLoss):
    """Cross entropy of gamma * [p, n_1, ..., n_M], the positive at its first place.

    p = score of the own item - `margin`. A negative above p is a support vector: its score n
    becomes t * n + t - 1, which is n + (t - 1)(n + 1); on cosines it only grows, and most where
    n is high (Wang et al., arXiv 1812.11317, with EasyRec's hard mask, through which no gradient
    runs). `gamma` is the scale: at 1 cosines leave a floor that training cannot get below.
    `negatives` is M: at most so many of the row's candidates, drawn anew each step; by default
    all. EasyRec's own shape is `negatives: [{kind: roll, n: 4, exposures: true}]` with gamma 1, t
    1 and no masks.
    """

    searched: ClassVar[Mapping[str, Span]] = {"t": Span(1.0, 1.5), "gamma": Span(3.0, 50.0)}

    kind: Literal["sv_softmax"] = "sv_softmax"
    margin: float = Field(0.0, ge=0)
    t: float = Field(1.1, ge=1)
    gamma: float = Field(15.0, gt=0)
    negatives: int | None = Field(None, ge=1)

    def __call__(self, batch: Scored) -> Tensor:
        """Return the weighted mean over clicked rows; 0 where none has weight."""
        rows = batch.is_positive
        scores, own = batch.scores[rows], batch.own[rows].unsqueeze(1)
        kept = self._drawn(self.held_against(batch)[rows])
        positive = scores.gather(1, own) - self.margin  # [P, 1]
        boosted = torch.where(scores > positive, self.t * scores + self.t - 1, scores)
        boosted = boosted.masked_fill(~kept, -torch.inf)
        logits = self.gamma * torch.cat([positive, boosted], dim=1)  # [P, 1 + C]
        losses = logits.logsumexp(1) - logits[:, 0]
        return weighted_mean(losses, batch.weight[rows])

    def _drawn(self, kept: Tensor) -> Tensor:
        """Keep at most M of each row's candidates, at random."""
        if self.negatives is None or self.negatives >= kept.shape[1]:
            return kept
        order = torch.rand(kept.shape).masked_fill(~kept, -1.0)
        chosen = order.topk(self.negatives, dim=1).indices
        return kept & torch.zeros_like(kept).scatter(1, chosen, True)
