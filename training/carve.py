"""Validation, carved out of train where a split gives none."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from export.contract.strict import Strict
from training.hashing import chosen, chosen_pairs
from training.parts import TRAIN, VALIDATION, Cold, Flags

if TYPE_CHECKING:  # its config holds ValidationConfig
    from training.data import Data


class ValidationConfig(Strict):
    """The shares of train that validation is carved from: pairs, and pseudo-cold ids.

    The pairs are the latest ones, since what is asked of the model is the future; drawn by hash
    where there is no timestamp or the split does not go by time. Ids are drawn by hash.
    """

    pairs: float = Field(0.1, ge=0, lt=1)
    items: float = Field(0.1, ge=0, lt=1)
    users: float = Field(0.1, ge=0, lt=1)
    seed: int = 1


def carve(
    config: ValidationConfig, data: "Data", part: NDArray[np.int8], *, by_time: bool
) -> tuple[NDArray[np.int8], Cold]:
    """Move a share of train rows to validation, unless the split gave one.

    Returns the parts, and the ids that are held out of training for validation's sake.
    """
    rows, seed, train = data.interactions, config.seed, part == TRAIN
    if (part == VALIDATION).any():
        return part, Cold.nobody(data)
    pseudo = Cold(
        chosen(data.users.ids, config.users, f"pseudo-cold user {seed}"),
        chosen(data.items.ids, config.items, f"pseudo-cold item {seed}"),
    )
    if by_time and rows.timestamp is not None:
        pairs = rows.timestamp > np.quantile(rows.timestamp[train], 1 - config.pairs)
    else:
        pairs = share_of_pairs(data, config.pairs, f"validation {seed}")
    held = pairs | pseudo.any_of(data)
    return np.where(train & held, VALIDATION, part).astype(np.int8), pseudo


def share_of_pairs(data: "Data", share: float, salt: str) -> Flags:
    """Choose a share of the rows by hash of their pair."""
    rows = data.interactions
    return chosen_pairs(data.users.ids, data.items.ids, rows.user, rows.item, share, salt)
