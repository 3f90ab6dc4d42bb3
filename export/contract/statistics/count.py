"""`count`: how many events match."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from export.contract.statistics.total import Total, Totals


class Count(Total):
    """How many events match `where` in the window; 0 for an entity that has other events only."""

    aggregate: Literal["count"] = "count"

    def addends(self, facts: Mapping[str, NDArray[Any]], size: int) -> Totals:
        """Return 1 for each event."""
        del facts
        return np.ones((1, size), dtype=np.int64)

    def value(self, totals: Totals) -> NDArray[np.float64]:
        """Return the count."""
        count: NDArray[np.float64] = totals[0].astype(np.float64)
        return count
