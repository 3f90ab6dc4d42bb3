"""Lists of candidates that each user has of its own, of which a few are drawn for each row."""

from dataclasses import dataclass

import numpy as np

from training.metrics import UserItems
from training.negatives.base import Drawn, Flags, Floats, Indices, Shown


@dataclass(frozen=True)
class Lists:
    """Up to `n` members of the user's list for each clicked row of a batch.

    `lists` holds items, or rows of `Shown` where `of_rows`; of an item, one of its rows is taken.
    """

    shown: Shown
    lists: UserItems
    n: int
    of_rows: bool

    @property
    def law(self) -> Floats:
        """No law that all rows share."""
        return np.zeros(len(self.shown.item_ids))

    def draw(self, rows: Indices, rng: np.random.Generator) -> Drawn:
        """Draw for every clicked row; rows of one user share what they draw alike."""
        clicked = np.flatnonzero(self.shown.is_positive[rows])
        users = self.shown.user[rows[clicked]].astype(np.int64)
        row, member, chance = _some(self.lists, users, self.n, rng)
        members, column = np.unique(member, return_inverse=True)
        further: Flags = np.zeros((len(rows), len(members)), dtype=bool)
        chances = np.zeros(further.shape)
        further[clicked[row], column] = True
        chances[clicked[row], column] = chance
        found = members if self.of_rows else self.shown.row_of(members, rng)
        return Drawn.of_rows(found, further, draws=0.0, chance=chances)


def _some(
    lists: UserItems, users: Indices, n: int, rng: np.random.Generator
) -> tuple[Indices, Indices, Floats]:
    """Draw up to n members of each user's list: positions in `users`, members, their chances."""
    row, member = lists.pairs(users)
    length = lists.starts[users + 1] - lists.starts[users]
    order = np.lexsort((rng.random(len(row)), row))
    first = np.cumsum(length) - length
    place = np.arange(len(row)) - first[row]  # rows stay in order, so a list begins where it did
    kept = order[place < n]
    return row[kept], member[kept], np.minimum(1.0, n / length[row[kept]])
