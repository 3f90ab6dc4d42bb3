"""`count` and `rate` of many rows at once: differences of running totals."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.contract.statistics import Count, Rate, matches
from training.ragged import Mask, offsets
from training.statistics.log import Log
from training.statistics.timeline import View

Numbers = NDArray[np.float32]


def matching(statistic: Count | Rate, log: Log) -> Mask:
    """Return which rows of the log the statistic counts, window apart."""
    return matches(statistic.where, log.facts(), len(log))


def counts(statistic: Count, log: Log, view: View) -> Numbers:
    """Return the count of each query of the view; NaN where it is missing."""
    count = _between(view, view.opening(log, statistic), matching(statistic, log))
    return np.where(view.present, count, np.nan).astype(np.float32)


def rates(statistic: Rate, log: Log, view: View) -> Numbers:
    """Return the rate of each query of the view; NaN where it is missing."""
    mask, opening = matching(statistic, log), view.opening(log, statistic)
    above, below = statistic.share()
    total = _between(view, opening, mask) + below
    clicked = _between(view, opening, mask & (log.label == 1)) + above
    known = view.present & (total > 0)
    rate = np.full(len(total), np.nan)
    np.divide(clicked, total, out=rate, where=known)
    return rate.astype(np.float32)


def _between(view: View, opening: NDArray[Any], mask: Mask) -> NDArray[np.int64]:
    """Count the rows of the mask that each query sees."""
    running = offsets(mask[view.timeline.rows])
    seen: NDArray[np.int64] = running[view.stop] - running[opening]
    return seen
