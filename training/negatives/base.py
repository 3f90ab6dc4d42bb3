"""What negatives draw from, what they give, and what every kind of negatives promises."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from export.contract.strict import Strict
from training.metrics import UserItems

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Shown:
    """The train rows that candidates come from; what is held out of training has none.

    `user`, `item`, `is_positive` are [rows]; batches are cut from the first `learned` of them.
    `liked` holds the items each user clicked, ids are those of all users and items, and `folder`
    is the data folder.
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    is_positive: Flags
    learned: int
    liked: UserItems
    user_ids: Sequence[str]
    item_ids: Sequence[str]
    folder: Path

    @cached_property
    def frequency(self) -> Floats:
        """Each item's share of the rows that batches are cut from, [items]."""
        counts = np.bincount(self.item[: self.learned], minlength=len(self.item_ids))
        share: Floats = counts / counts.sum()
        return share

    @cached_property
    def rows_of(self) -> UserItems:
        """The rows of each item."""
        return UserItems.from_pairs(self.item, np.arange(len(self.item)), len(self.item_ids))

    @cached_property
    def trainable(self) -> Flags:
        """Say of each item whether it has a train row."""
        return np.diff(self.rows_of.starts) > 0

    def row_of(self, items: Indices, rng: np.random.Generator) -> Indices:
        """Return one of each item's rows, at random: the item as it was when it was shown."""
        starts = self.rows_of.starts
        lengths = starts[items + 1] - starts[items]
        found: Indices = self.rows_of.items[starts[items] + rng.integers(0, lengths)]
        return found


@dataclass(frozen=True)
class Drawn:
    """Candidates of one batch of B rows: items of the batch, and those of E further rows.

    `batch` says which rows' items each row is held against, `further` the same of `rows`. Where
    all rows share one law, `draws` are made from it; else `chance` is that of each candidate to
    be drawn for the row.
    """

    batch: Flags  # [B, B]
    rows: Indices  # [E], rows of `Shown`
    further: Flags  # [B, E]
    draws: float
    chance: Floats  # [B, E]

    @classmethod
    def of_batch(cls, batch: Flags, draws: float) -> Self:
        """Candidates that stand in the batch already."""
        size = len(batch)
        return cls(batch, np.zeros(0, np.int64), batch[:, :0], draws, np.zeros((size, 0)))

    @classmethod
    def of_rows(cls, rows: Indices, further: Flags, draws: float, chance: Floats) -> Self:
        """Candidates that come to the batch from elsewhere."""
        size = len(further)
        return cls(np.zeros((size, size), dtype=bool), rows, further, draws, chance)


class Source(Protocol):
    """Draws candidates for batch after batch."""

    @property
    def law(self) -> Floats:
        """The chance of each item [items] in one draw; zeros where each row has its own law."""

    def draw(self, rows: Indices, rng: np.random.Generator) -> Drawn:
        """Draw candidates for a batch of these rows of `Shown`."""


class NegativeKind(Strict):
    """A kind of negatives: its options, and where its candidates come from."""

    needs_shown: ClassVar[bool] = False
    """Whether rows are drawn from that batches are not cut from."""

    kind: str

    @property
    def needs_exposures(self) -> bool:
        """Whether batches have to hold rows that were shown and not clicked."""
        return False

    @abstractmethod
    def source(self, shown: Shown) -> Source:
        """Return what draws the candidates; may raise ConfigError or DataError."""
