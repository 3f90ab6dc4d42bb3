"""Rolled negatives: the items of a few other rows of the batch, the same distance away for all."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from training.negatives.base import Drawn, Floats, Indices, NegativeKind, Shown, Source


class Roll(NegativeKind):
    """Each row against the items of `n` other rows, by distinct shifts that all rows share.

    EasyRec's way, whose shifts may repeat and which fails on a batch of no more than `n` rows; a
    batch that small has fewer shifts here. With `exposures` batches hold what was shown and not
    clicked, too, as EasyRec's do, and its items are rolled like the others.
    """

    kind: Literal["roll"] = "roll"
    n: int = Field(4, ge=1)
    exposures: bool = False

    @property
    def needs_exposures(self) -> bool:
        """Whether rows that were not clicked are rolled."""
        return self.exposures

    def source(self, shown: Shown) -> Source:
        """Return what rolls each batch."""
        return Rolled(shown.frequency, self.n)


@dataclass(frozen=True)
class Rolled:
    """Row i against row i - s, for each shift s of 1 to B - 1 that is drawn."""

    law: Floats
    n: int

    def draw(self, rows: Indices, rng: np.random.Generator) -> Drawn:
        """Draw the shifts of one batch."""
        size = len(rows)
        shifts = 1 + rng.permutation(size - 1)[: self.n] if size > 1 else np.zeros(0, np.int64)
        batch = np.zeros((size, size), dtype=bool)
        at = np.arange(size)
        for shift in shifts:
            batch[at, (at - shift) % size] = True
        return Drawn.of_batch(batch, len(shifts))
