"""Pairwise logistic loss: what was clicked above what was shown beside it and was not."""

from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from training.losses.pairs import PairLoss


class Pairwise(PairLoss):
    """softplus(-(d - margin)) of each pair (Burges et al., ICML 2005, with a margin)."""

    kind: Literal["pairwise"] = "pairwise"
    margin: float = Field(0.0, ge=0)

    def of_pairs(self, difference: Tensor) -> Tensor:
        """Return each pair's loss."""
        return functional.softplus(self.margin - difference)
