"""Events: what one user or item lived through, and the history a request may bring with it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Lookup = Callable[[str], Mapping[str, float] | Iterable[Any] | None]
"""Item id -> the words of one feature of it, with weights or without, or the numbers of a vector;
None: no such item."""


@dataclass(frozen=True, eq=False)
class Events:
    """The events of one entity, in parallel arrays of one length, in any order.

    `other` holds ids (text): items seen from a user, users seen from an item. `label` is 1, or 0
    for shown and not clicked. `time` is in seconds, or the rank of an order; events of one time
    keep the order they are given in. `columns` holds what else a `where` may ask for, `entity` the
    id of whose events they are, where it is known.
    """

    other: NDArray[np.object_]
    label: NDArray[np.float64]
    time: NDArray[np.float64]
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    entity: str | None = None

    @classmethod
    def history(cls, ids: Sequence[str]) -> "Events":
        """Make events of the `history` of a request: ids, oldest to newest, all of label 1.

        It has no times, so it is folded at `now = math.inf`, and only by statistics that
        `takes_history`.
        """
        other = np.empty(len(ids), dtype=object)
        other[:] = ids
        return cls(other, np.ones(len(ids)), np.arange(len(ids), dtype=np.float64))

    def __len__(self) -> int:
        return len(self.other)

    def take(self, which: NDArray[Any]) -> "Events":
        """Return the events at these positions, or where this mask holds."""
        columns = {name: column[which] for name, column in self.columns.items()}
        return Events(self.other[which], self.label[which], self.time[which], columns, self.entity)

    def before(self, now: float) -> "Events":
        """Return the events strictly before `now`, oldest first."""
        past = self if bool(np.all(self.time < now)) else self.take(self.time < now)
        if bool(np.all(past.time[1:] >= past.time[:-1])):
            return past
        return past.take(np.argsort(past.time, kind="stable"))

    def known(self, items: Lookup) -> tuple["Events", int]:
        """Return the events with items the catalogue knows, and how many were dropped."""
        found = np.fromiter((items(i) is not None for i in self.other), bool, len(self))
        dropped = len(self) - int(found.sum())
        return (self.take(found), dropped) if dropped else (self, 0)

    def facts(self) -> dict[str, NDArray[Any]]:
        """Return what a `where` is held against: the label and the further columns."""
        return {"label": self.label, **self.columns}
