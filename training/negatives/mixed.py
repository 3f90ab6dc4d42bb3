"""Mixed negatives: items of the catalogue, each as likely as any other, beside the batch's own."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from training.negatives.base import Drawn, Floats, Indices, NegativeKind, Shown, Source


class Mixed(NegativeKind):
    """Every row against `n` items drawn anew for each batch, all different.

    They are what lets items that few click ever stand as negatives (Yang et al., WWW 2020
    companion, "Mixed Negative Sampling"). Only items with a train row are drawn, each as it was
    in one of them.
    """

    needs_shown = True

    kind: Literal["mixed"] = "mixed"
    n: int = Field(256, ge=1)

    def source(self, shown: Shown) -> Source:
        """Return what draws from the items with a train row."""
        return Uniform(shown, self.n)


@dataclass(frozen=True)
class Uniform:
    """One draw of items for all rows of a batch."""

    shown: Shown
    n: int

    @property
    def law(self) -> Floats:
        """The same chance for every item with a train row."""
        chance: Floats = self.shown.trainable / self.shown.trainable.sum()
        return chance

    def draw(self, rows: Indices, rng: np.random.Generator) -> Drawn:
        """Draw items, and of each one of its rows."""
        items = rng.permutation(np.flatnonzero(self.shown.trainable))[: self.n]
        shape = (len(rows), len(items))
        return Drawn.of_rows(
            rows=self.shown.row_of(items, rng),
            further=np.ones(shape, dtype=bool),
            draws=len(items),
            chance=np.zeros(shape),
        )
