"""How much each row counts in the losses: as given, and less the older it is."""

import numpy as np
from numpy.typing import NDArray

from export.contract.errors import ConfigError
from export.contract.statistics.base import seconds
from training.interactions import Interactions


def row_weights(
    rows: Interactions, learned: NDArray[np.int64], half_life: str | None
) -> NDArray[np.float32]:
    """Return float32[learned]: the rows' weights, halved with each half-life of their age.

    A row's age is counted back from the newest of these rows, so that one has its full weight.

    Raises:
        ConfigError: There is a half-life, and the interactions have no timestamp.
    """
    weight = rows.weight[learned]
    if half_life is None:
        return weight
    if rows.timestamp is None:
        raise ConfigError(
            f"training.half_life: got {half_life!r}, and the interactions have no timestamp to "
            "tell a row's age by; leave it out, or give the column"
        )
    time = rows.timestamp[learned]
    fresh = np.exp2((time - time.max()) / seconds(half_life))
    weighted: NDArray[np.float32] = (weight * fresh).astype(np.float32)
    return weighted
