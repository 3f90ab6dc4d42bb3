"""A small log to draw candidates from."""

from pathlib import Path

import numpy as np

from training.metrics import UserItems
from training.negatives.base import Shown

USERS, ITEMS, TRAINED = 6, 20, 15


def made_shown(folder: Path = Path(), *, rows: int = 60, learned: int | None = None) -> Shown:
    """Rows of 6 users and the first 15 of 20 items; the other 5 are held out of training.

    The first `learned` rows (half of them) are clicked, the others are not.
    """
    rng = np.random.default_rng(3)
    learned = rows // 2 if learned is None else learned
    user = rng.integers(0, USERS, rows).astype(np.int32)
    item = (TRAINED * rng.random(rows) ** 1.7).astype(np.int32)
    clicked = np.arange(rows) < learned
    return Shown(
        user=user,
        item=item,
        is_positive=clicked,
        learned=learned,
        liked=UserItems.from_pairs(user[clicked], item[clicked], USERS),
        user_ids=[f"u{n}" for n in range(USERS)],
        item_ids=[f"i{n}" for n in range(ITEMS)],
        folder=folder,
    )
