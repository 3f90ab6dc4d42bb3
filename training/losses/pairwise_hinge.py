"""Pairwise hinge loss: what was clicked above what was not by a margin, and no further."""

from typing import Literal

from pydantic import Field
from torch import Tensor

from training.losses.pairs import PairLoss


class PairwiseHinge(PairLoss):
    """max(0, margin - d) of each pair (Herbrich et al., 1999).

    A pair that has its margin says nothing any more, which keeps training on those that have not.
    """

    kind: Literal["pairwise_hinge"] = "pairwise_hinge"
    margin: float = Field(1.0, gt=0)

    def of_pairs(self, difference: Tensor) -> Tensor:
        """Return each pair's loss."""
        return (self.margin - difference).relu()
