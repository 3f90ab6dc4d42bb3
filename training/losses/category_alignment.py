"""Category alignment: items of rare categories spread as those of the most frequent one do."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from export.contract.features import FIRST_WORD_ROW
from training.losses.base import FormulaLoss, Scored


class CategoryAlignment(FormulaLoss):
    """The sum over categories of |cov(major) - cov(category)|^2, Frobenius.

    After Yu et al., DLP-KDD 2021. cov is the covariance [D, D] of the item vectors of a category
    among the batch's candidates, by n - 1; the major category is the one with most of them, of
    equals the first of the vocabulary. It speaks of items and not of rows: each item
    counts once, whatever the rows weigh. Categories of fewer than two items are left out, and
    so are items whose category is missing or unknown.

    `category` names an item feature of kind category.
    """

    kind: Literal["category_alignment"] = "category_alignment"
    category: str = Field(min_length=1)

    @property
    def categories(self) -> tuple[str, ...]:
        """The feature whose words it reads."""
        return (self.category,)

    def __call__(self, batch: Scored) -> Tensor:
        """Return the sum; 0 where fewer than two categories have two items."""
        first = _first_columns(batch.items)
        vectors, words = batch.item_vectors[first], batch.categories[self.category][first]
        found, sizes = torch.unique(words, return_counts=True)  # ascending
        counts = (found >= FIRST_WORD_ROW) & (sizes > 1)
        found, sizes = found[counts], sizes[counts]
        if len(found) < 2:
            return vectors.sum() * 0
        spread = torch.stack([vectors[words == one].T.cov() for one in found])  # [K, D, D]
        major = spread[sizes.argmax()]  # of equals the first
        return (spread - major).square().sum()


def _first_columns(items: Tensor) -> Tensor:
    """Return the column in which each distinct item stands first."""
    distinct, place = torch.unique(items, return_inverse=True)
    columns = torch.arange(len(items))
    return torch.full_like(distinct, len(items)).scatter_reduce(0, place, columns, "amin")
