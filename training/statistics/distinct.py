"""`distinct` of many rows at once: what stands in a span and not before it in the same span."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.contract.statistics import Distinct, matches
from training.ragged import Integers, Positions, Ragged, offsets
from training.statistics.log import Log
from training.statistics.timeline import View


@dataclass(frozen=True, eq=False)
class Met:
    """What was met, in the order of a timeline; a query asks about positions [start, stop)."""

    entity: Positions  # [m]
    what: NDArray[np.int32]  # [m]
    start: Positions  # [q]
    stop: Positions  # [q]

    def words(self, items: Ragged) -> "Met":
        """Return the same with each item replaced by its words."""
        lengths = items.lengths[self.what]
        at = offsets(lengths)
        words = items.take(self.what).values
        return Met(np.repeat(self.entity, lengths), words, at[self.start], at[self.stop])


def distincts(
    statistic: Distinct, log: Log, view: View, others: NDArray[np.int32], items: Ragged | None
) -> NDArray[np.float32]:
    """Return the number of each query of the view; NaN where it is missing."""
    mask = matches(statistic.where, log.facts(), len(log))[view.timeline.rows]
    place = offsets(mask)
    met = Met(
        view.timeline.entity[mask],
        others[view.timeline.rows[mask]],
        place[view.opening(log, statistic)],
        place[view.stop],
    )
    if items is not None:
        met = met.words(items)
    before = _place_before(met)
    if statistic.window is None:  # a span begins where its entity does: new there, new at all
        new = offsets(before < 0)
        count = new[met.stop] - new[met.start]
    else:
        count = _lower(before, met.stop, met.start) - met.start
    return np.where(view.present, count, np.nan).astype(np.float32)


def _place_before(met: Met) -> Positions:
    """Return for each position the last one before where the same entity met the same; else -1."""
    before = np.full(len(met.what), -1)
    key = met.entity * np.int64(met.what.max(initial=0) + 1) + met.what
    order = np.argsort(key, kind="stable")
    again = key[order[1:]] == key[order[:-1]]
    before[order[1:][again]] = order[:-1][again]
    return before


def _lower(values: Positions, stop: Integers, limit: Integers) -> NDArray[np.int64]:
    """Count, for each query, the positions below `stop` whose value is below `limit`.

    The positions below `stop` are cut into blocks of powers of two, one for each bit of it, and
    the blocks of one size are sorted all at once. Values are -1 or more.
    """
    count = np.zeros(len(stop), dtype=np.int64)
    width = np.int64(len(values) + 2)
    for bit in range(len(values).bit_length()):
        at = np.flatnonzero(stop & (1 << bit))
        if not len(at):
            continue
        sorted_blocks = np.sort((np.arange(len(values)) >> bit) * width + values + 1)
        block = (stop[at] >> bit) - 1
        found = np.searchsorted(sorted_blocks, block * width + limit[at] + 1)
        count[at] += found - (block << bit)
    return count
