"""Hard negatives: what the same user was shown and did not click."""

from typing import Literal

import numpy as np
from pydantic import Field

from export.contract.errors import ConfigError
from training.metrics import UserItems
from training.negatives.base import NegativeKind, Shown, Source
from training.negatives.lists import Lists


class Hard(NegativeKind):
    """Each clicked row against up to `n` items its user was shown and never clicked.

    An item counts once however often it was shown, as it was when it was shown first.
    """

    needs_shown = True

    kind: Literal["hard"] = "hard"
    n: int = Field(2, ge=1)

    def source(self, shown: Shown) -> Source:
        """Return what draws from each user's exposures.

        Raises:
            ConfigError: No train row was shown and not clicked.
        """
        size = len(shown.item_ids)
        pair = shown.user.astype(np.int64) * size + shown.item
        _, first = np.unique(pair, return_index=True)
        user, liked = shown.liked.pairs(np.arange(len(shown.user_ids)))
        ignored = first[~np.isin(pair[first], user * size + liked)]
        if not len(ignored):
            raise ConfigError(
                "negatives.hard: no train row was shown and not clicked (label 0); log these, or "
                "leave it out"
            )
        lists = UserItems.from_pairs(shown.user[ignored], ignored, len(shown.user_ids))
        return Lists(shown, lists, self.n, of_rows=True)
