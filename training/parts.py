"""The part each row plays, and who is cold in it: what every split comes to."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training.metrics import Indices, UserItems

if TYPE_CHECKING:  # its config holds the splits
    from training.data import Data

UNUSED, TRAIN, VALIDATION, TEST = 0, 1, 2, 3
PARTS = {"unused": UNUSED, "train": TRAIN, "validation": VALIDATION, "test": TEST}
BEFORE = {VALIDATION: (TRAIN,), TEST: (TRAIN, VALIDATION)}  # what is known when a part begins

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Cold:
    """Which users and items are held out of training."""

    users: Flags
    items: Flags

    @classmethod
    def nobody(cls, data: "Data") -> "Cold":
        """Hold no one out."""
        return cls(np.zeros(len(data.users), bool), np.zeros(len(data.items), bool))

    def any_of(self, data: "Data") -> Flags:
        """Say of each row whether its user or its item is held out."""
        rows = data.interactions
        return self.users[rows.user] | self.items[rows.item]


@dataclass(frozen=True)
class Split:
    """The part each row plays, and which ids are cold in validation and in test.

    `part` is [rows] of UNUSED, TRAIN, VALIDATION, TEST. In `cold_users` and `cold_items` the
    key says for which part: an id that is cold for validation trains nothing, but is known when
    test begins. Whoever has no row before a part is cold in it, held out or not, unless a file
    lists the cold ids. `candidates` and `masks` replace what a test slice, by name, would be
    searched among and without; `users` says who alone is measured in it.
    """

    part: NDArray[np.int8]
    cold_users: dict[int, Flags]
    cold_items: dict[int, Flags]
    candidates: dict[str, Indices] = field(default_factory=dict)
    masks: dict[str, UserItems] = field(default_factory=dict)
    users: dict[str, Flags] = field(default_factory=dict)

    def rows(self, part: int) -> NDArray[np.int64]:
        """Return the rows that play a part, in order."""
        return np.flatnonzero(self.part == part)

    def counts(self) -> dict[str, int]:
        """Return how many rows play each part."""
        return part_counts(self.part)


def part_counts(part: NDArray[np.int8]) -> dict[str, int]:
    """Return how many rows play each part, by its name."""
    return {name: int((part == number).sum()) for name, number in PARTS.items()}
