"""A log in parts that hold whole entities: what is sorted and searched at a time is one of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.contract.statistics import Side
from training.in_threads import THREADS
from training.mapped import mapped
from training.ragged import Integers, Positions, offsets
from training.statistics.concepts import Concepts
from training.statistics.log import Log, LogPart

ROWS = (1 << 18) // THREADS  # of a part: all at a time take some tens of MB for their statistics


@dataclass(frozen=True, eq=False)
class Part:
    """Some of the asked rows, and all rows of the log that their entities have."""

    at: Positions  # [r] which of the asked rows these are, ascending
    log: LogPart
    rows: Positions  # [r] where they stand in `log`


def in_parts(
    log: Log, side: Side, rows: Positions, concepts: Concepts | None = None, size: int | None = None
) -> Iterator[Part]:
    """Cut a log by the entities of one side; every asked row is in one part, and there is one.

    The rows of an entity stay together, with `concepts` those of a concept. A part has up to
    `size` rows of the log and those of one more entity (or concept), by default ROWS.
    """
    ids = log.ids(side)
    number = _numbers(ids, concepts, ROWS if size is None else size)
    of_log, of_asked = _Grouped.by(number[ids]), _Grouped.by(number[ids[rows]])
    for part in np.unique(number[ids[rows]]) if len(rows) else [0]:
        members, at = of_log.group(part), of_asked.group(part)
        yield Part(at, log.part(members), np.searchsorted(members, rows[at]))


def _numbers(ids: Integers, concepts: Concepts | None, size: int) -> NDArray[np.integer]:
    """Return the part of each entity."""
    group = np.arange(int(ids.max(initial=-1)) + 1)
    if concepts is not None:  # who has no concept is alone
        code = concepts.code[: len(group)]
        group = np.where(code < 0, group + len(concepts.words), code)
    rows = np.bincount(group[ids], minlength=int(group.max(initial=0)) + 1)
    _, number = np.unique((np.cumsum(rows) - rows) // size, return_inverse=True)
    small = np.uint16 if number[-1] < 1 << 16 else np.int64  # numpy sorts these by counting
    found: NDArray[np.integer] = number.astype(small)[group]
    return found


@dataclass(frozen=True, eq=False)
class _Grouped:
    """Places by group: `order[starts[g] : starts[g + 1]]` are those of group g, ascending."""

    order: Positions
    starts: Positions

    @classmethod
    def by(cls, group: NDArray[np.integer]) -> "_Grouped":
        return cls(mapped(np.argsort(group, kind="stable")), offsets(np.bincount(group)))

    def group(self, number: int) -> Positions:
        return self.order[slice(*self.starts[number : number + 2])]
