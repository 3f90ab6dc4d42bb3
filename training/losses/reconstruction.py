"""Reconstruction: scores brought to those of given factors, whatever the towers may see."""

from typing import ClassVar, Literal

from torch import Tensor

from training.losses.base import FormulaLoss, Scored, weighted_mean
from training.vectors import VectorFiles


class Reconstruction(FormulaLoss):
    """(score - U_u . V_v)^2, the mean over each clicked row's candidates and its own item.

    The loss of the original DropoutNet (Volkovs et al., NIPS 2017, eq. 3): the towers see
    preference or not, the target is always that of the whole factors, so a cold entity learns to
    be scored as its behaviour would have it. `factors` are two files of vectors; pairs of which
    one has no vector are left out. A product of factors has a scale of its own, so it asks for
    `similarity: inner_product`.
    """

    needs_product: ClassVar[bool] = True

    kind: Literal["reconstruction"] = "reconstruction"
    factors: VectorFiles = VectorFiles()

    @property
    def vector_files(self) -> VectorFiles:
        """The files of the factors."""
        return self.factors

    def __call__(self, batch: Scored) -> Tensor:
        """Return the weighted mean over clicked rows; 0 where none counts."""
        target = batch.given[self.factors].scores
        kept = batch.candidate.scatter(1, batch.own.unsqueeze(1), True) & ~target.isnan()
        squares = (batch.scores - target.nan_to_num(0.0)) ** 2 * kept
        count = kept.sum(1)
        of_rows = squares.sum(1) / count.clamp_min(1)
        return weighted_mean(of_rows, batch.weight * batch.is_positive * (count > 0))
