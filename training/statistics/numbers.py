"""Statistics that add up, of many rows at once: differences of running totals."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.contract.statistics import Total, Totals, matches
from training.ragged import offsets
from training.statistics.log import Log
from training.statistics.timeline import View

Numbers = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Sums:
    """What each query of a view sees: how many events at all, and totals of those that match."""

    seen: NDArray[np.int64]  # [q]
    totals: Totals  # [terms, q]

    @classmethod
    def of(cls, statistic: Total, log: Log, view: View) -> "Sums":
        """Add up what the view shows."""
        facts, rows = log.facts(), view.timeline.rows
        addends = statistic.addends(facts, len(log)) * matches(statistic.where, facts, len(log))
        opening = view.opening(log, statistic)
        totals = [_between(addend[rows], opening, view.stop) for addend in addends]
        return cls(view.stop - view.start, np.stack(totals))

    def __sub__(self, other: "Sums") -> "Sums":
        """Leave out events that are among these."""
        return Sums(self.seen - other.seen, self.totals - other.totals)

    def values(self, statistic: Total) -> Numbers:
        """Return the statistic of each query; NaN where it is missing."""
        return np.where(self.seen > 0, statistic.value(self.totals), np.nan).astype(np.float32)


def _between(addend: NDArray[Any], opening: NDArray[Any], stop: NDArray[Any]) -> NDArray[np.int64]:
    """Add up the positions of each span."""
    running = offsets(addend)
    seen: NDArray[np.int64] = running[stop] - running[opening]
    return seen
