"""What losses over pairs share: which pairs there are, their weights, the hardest of them."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from training.losses.base import FormulaLoss, Scored, weighted_mean
from training.span import Span

WHOLE_BATCH = "batch"


class PairLoss(FormulaLoss):
    """The mean of a loss over all pairs of rows of one session, labels 1 and 0.

    `session` is a column of the interactions, of whose equal values rows share a session and a
    batch; `batch` holds every row against every other, as EasyRec does. A pair weighs the product
    of its rows' weights, so that a weight of 2 is the row twice and 0 is the row absent.
    `hardest` is the share of the pairs, by weight, that count: those with the highest loss
    (online hard example mining, Shrivastava et al., CVPR 2016).
    """

    needs_exposures: ClassVar[bool] = True
    searched: ClassVar[Mapping[str, Span]] = {"temperature": Span(0.03, 0.5)}

    temperature: float = Field(0.1, gt=0)
    session: str = Field("user_id", min_length=1)
    hardest: float = Field(1.0, gt=0, le=1)

    @property
    def together(self) -> str | None:
        """The session's column; none where the whole batch is one."""
        return None if self.session == WHOLE_BATCH else self.session

    @abstractmethod
    def of_pairs(self, difference: Tensor) -> Tensor:
        """Return each pair's loss; d = (score clicked - score not clicked) / temperature."""

    def __call__(self, batch: Scored) -> Tensor:
        """Return the weighted mean over pairs; 0 where there is none."""
        clicked, shown = batch.is_positive, ~batch.is_positive
        score, weight = batch.own_scores, batch.weight
        difference = (score[clicked, None] - score[None, shown]) / self.temperature  # [P, N]
        pair_weight = weight[clicked, None] * weight[None, shown]
        if self.together is not None:
            session = batch.sessions[self.together]
            pair_weight = pair_weight * (session[clicked, None] == session[None, shown])
        losses = self.of_pairs(difference)
        if self.hardest < 1:
            pair_weight = hardest(losses.detach(), pair_weight, self.hardest)
        return weighted_mean(losses, pair_weight)


def hardest(losses: Tensor, weight: Tensor, share: float) -> Tensor:
    """Return the weights with a share of their sum left, on the highest losses.

    The pair on the border keeps a part of its own, so that a weight of 2 is still the pair twice.
    """
    order = losses.flatten().argsort(descending=True)
    sorted_weight = weight.flatten()[order]
    before = sorted_weight.cumsum(0) - sorted_weight
    left = (share * weight.sum() - before).clamp_min(0).minimum(sorted_weight)
    return torch.zeros_like(sorted_weight).scatter(0, order, left).view_as(weight)
