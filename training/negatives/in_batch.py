"""In-batch negatives: the other rows' items, drawn as often as they are clicked."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from export.contract.strict import Strict


class InBatch(Strict):
    """Adds no item to the batch; each row is held against the items of all rows."""

    kind: Literal["in_batch"] = "in_batch"

    def draw(self, batch: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int32]:
        """Return the items to add as columns: none."""
        del rng
        return batch[:0]

    def log_q(self, frequency: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return log of the chance of each item [items] to be drawn, from its share of clicks."""
        return np.log(np.maximum(frequency, 1e-6))
