"""The mimic loss: the vector of an own id becomes like those on the other side that it met."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from training.augmented import Augmented
from training.losses.base import FormulaLoss, Scored, weighted_mean


class Mimic(FormulaLoss):
    """user * mean((a_u - p_i)^2) + item * mean((a_i - p_u)^2), over clicked rows and dimensions.

    The adaptive mimic mechanism of Yu et al., DLP-KDD 2021: a are augmented vectors, p what the
    towers give, through which no gradient runs: the augmented vector follows the other side, not
    the other way round. Whoever has none of its own, being cold or hidden by dropout, does not
    count.

    `unit` compares both at length 1, the length that a cosine gives p anyhow; without it an
    augmented vector of any length is held against p as it is, as EasyRec does.
    """

    needs_augmented: ClassVar[bool] = True

    kind: Literal["mimic"] = "mimic"
    user: float = Field(0.5, ge=0)
    item: float = Field(0.5, ge=0)
    unit: bool = True

    @model_validator(mode="after")
    def _something_counts(self) -> Self:
        if not self.user and not self.item:
            raise ValueError("user and item are both 0; expected at least one weight above 0")
        return self

    def __call__(self, batch: Scored) -> Tensor:
        """Return the weighted sum of both sides' weighted means; 0 where nothing counts."""
        users, items = batch.user_augmented, batch.item_augmented
        assert users is not None
        assert items is not None
        items = Augmented(items.vectors[batch.own], items.is_own[batch.own])  # [B]
        to_item = self._off(batch, users, batch.item_vectors[batch.own])
        to_user = self._off(batch, items, batch.user_vectors)
        return self.user * to_item + self.item * to_user

    def _off(self, batch: Scored, augmented: Augmented, target: Tensor) -> Tensor:
        """Return the mean squared distance of clicked rows' augmented vectors to float[B, D]."""
        vectors, target = augmented.vectors, target.detach()
        if self.unit:
            vectors, target = functional.normalize(vectors), functional.normalize(target)
        off = (vectors - target).square().mean(1)  # [B]
        return weighted_mean(off, batch.weight * (batch.is_positive & augmented.is_own))
