"""In-batch negatives: the other rows' items, drawn as often as they stand in the log."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from training.negatives.base import Drawn, Floats, Indices, NegativeKind, Shown, Source


class InBatch(NegativeKind):
    """Adds no item to the batch; each row is held against the items of all rows."""

    kind: Literal["in_batch"] = "in_batch"

    def source(self, shown: Shown) -> Source:
        """Return all of the batch, batch after batch."""
        return WholeBatch(shown.frequency)


@dataclass(frozen=True)
class WholeBatch:
    """Every row against every row."""

    law: Floats

    def draw(self, rows: Indices, rng: np.random.Generator) -> Drawn:
        """Return the batch's own items."""
        del rng
        return Drawn.of_batch(np.ones((len(rows), len(rows)), dtype=bool), len(rows))
