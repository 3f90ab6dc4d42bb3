"""Reconstruction: scores brought to those of given factors, whatever the towers may see."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from training.losses.base import FormulaLoss, Scored, weighted_mean
from training.vectors import VectorFiles


class Reconstruction(FormulaLoss):
    """(score - U_u . V_v)^2, of each clicked row's candidates and its own item.

    The loss of the original DropoutNet (Volkovs et al., NIPS 2017, eq. 3): the towers see
    preference or not, the target is always that of the whole factors, so a cold entity learns to
    be scored as its behaviour would have it. `factors` are two files of vectors; pairs of which
    one has no vector are left out. A product of factors has a scale of its own, so it asks for
    `similarity: inner_product`.

    Half of it is the mean over all of them, and half that over the share `top` which has the
    highest products; 1: the mean alone. Most products are near zero, and who learns them all alike
    learns to say zero. The original draws half of its pairs from each user's 2,500 best of 17,000.
    """

    needs_product: ClassVar[bool] = True

    kind: Literal["reconstruction"] = "reconstruction"
    factors: VectorFiles = VectorFiles()
    top: float = Field(0.15, gt=0, le=1)

    @property
    def vector_files(self) -> VectorFiles:
        """The files of the factors."""
        return self.factors

    def __call__(self, batch: Scored) -> Tensor:
        """Return the weighted mean over clicked rows; 0 where none counts."""
        target = batch.given[self.factors].scores
        kept = batch.candidate.scatter(1, batch.own.unsqueeze(1), True) & ~target.isnan()
        squares = (batch.scores - target.nan_to_num(0.0)) ** 2
        of_rows = _mean(squares, kept)
        if self.top < 1:
            most = max(1, round(self.top * kept.shape[1]))
            best = target.masked_fill(~kept, -torch.inf).topk(most, dim=1).indices
            of_best = _mean(squares.gather(1, best), kept.gather(1, best))
            of_rows = (of_rows + of_best) / 2
        return weighted_mean(of_rows, batch.weight * batch.is_positive * kept.any(1))


def _mean(squares: Tensor, kept: Tensor) -> Tensor:
    """Return the mean of each row [B, C] over what is kept of it; 0 where nothing is."""
    return (squares * kept).sum(1) / kept.sum(1).clamp_min(1)
