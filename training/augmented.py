"""Augmented vectors: what a tower learns for each entity's own id, taken apart from the rest."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from export.contract.features import FIRST_WORD_ROW, Category
from export.contract.side import Side, SideName
from export.contract.statistics import Identity

AUGMENTED = "augmented"
"""The group by which a tower that asks for them is given augmented vectors."""


@dataclass(frozen=True)
class Augmented:
    """The augmented vectors of n entities.

    vectors: float[n, dim], as the tower takes them.
    is_own: bool[n], the vector is the entity's own; the others are the default.
    """

    vectors: Tensor
    is_own: Tensor


class AugmentedInput(nn.Module):
    """The row of the entity's own id; a learned default where it has none, or it is hidden.

    An id that training did not know has the default too, whatever presence says, so no row is
    ever read that was not learned for that entity.
    """

    def __init__(self, column: int, table: nn.Embedding) -> None:
        """Read the id in this column of `ids` from its table."""
        super().__init__()
        self.column, self.table = column, table
        self.default = nn.Parameter(torch.zeros(table.embedding_dim))

    def forward(self, inputs: Mapping[str, Tensor]) -> Augmented:
        """Return the augmented vectors of a batch, of any length."""
        rows = inputs["ids"][:, self.column]  # [batch]
        is_own = (rows >= FIRST_WORD_ROW) & inputs["present"].squeeze(1)
        vectors = torch.where(is_own.unsqueeze(1), self.table(rows), self.default)
        return Augmented(vectors, is_own)


def own_ids(side: Side) -> list[str]:
    """Return the preference features that are the entity's own id."""
    return [n for n, one in side.preference.items() if isinstance(one.statistic, Identity)]


def check_augmented(side_name: SideName, side: Side, kind: str, dim: int, embedding: int) -> None:
    """Check that a side has what a tower of augmented vectors asks for.

    Args:
        side_name: Which side it is.
        side: Its features.
        kind: That of the tower, for messages.
        dim: The length of the tower's vectors, and so of augmented ones.
        embedding: The width of a feature's vector that says no `dim`.

    Raises:
        ValueError: It has not; names the key, and what to write there.

    """
    where, found = f"{side_name}.preference", own_ids(side)
    if not found:
        raise ValueError(
            f"{where}: the tower {kind!r} learns a vector for each {side_name}'s own id, and no "
            f"feature holds it; add own_id: {{kind: category, aggregate: identity, dim: {dim}}}"
        )
    if len(found) > 1:
        raise ValueError(
            f"{where}: the tower {kind!r} takes one own id; got {' and '.join(found)}, keep one"
        )
    feature = side.preference[found[0]]
    assert isinstance(feature, Category)  # no other kind holds an identity
    if feature.vocabulary != "learned":
        raise ValueError(
            f"{where}.{found[0]}.vocabulary: got {feature.vocabulary!r}, which has rows for ids "
            f"that no training saw; the tower {kind!r} needs 'learned'"
        )
    if (width := feature.dim or embedding) != dim:
        raise ValueError(
            f"{where}.{found[0]}.dim: got {width}; the tower {kind!r} holds own ids against "
            f"vectors of its dim: write dim: {dim}"
        )
