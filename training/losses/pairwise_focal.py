"""Pairwise focal loss: the pairs that are in the wrong order count for more."""

from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from training.losses.pairs import PairLoss


class PairwiseFocal(PairLoss):
    """(1 - sigmoid(d))^gamma * softplus(-d) of each pair.

    Focal loss (Lin et al., ICCV 2017, eq. 4) of the chance that the clicked row is the better
    one. At gamma 0 it is `pairwise`; the more gamma, the less a pair in the right order says.
    """

    kind: Literal["pairwise_focal"] = "pairwise_focal"
    gamma: float = Field(2.0, ge=0)

    def of_pairs(self, difference: Tensor) -> Tensor:
        """Return each pair's loss."""
        doubt = (-self.gamma * functional.softplus(difference)).exp()  # no power of a 0
        return doubt * functional.softplus(-difference)
