"""What a service has acknowledged, item by item, and what it may have taken without a word."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from export.embedder import Vectors

State = Vectors | None
"""What an item is: float32[dim] of one that is there, None of one that was removed."""


class Acknowledged(NamedTuple):
    """A write that was answered: its item and log entry, and whether it was said to be durable."""

    id: str
    log_id: str
    durable: bool


@dataclass
class Held:
    """One item: all that it may be by now, what was acknowledged first, and where it was last."""

    states: list[State]
    log_id: str
    last: Vectors

    @property
    def is_certain(self) -> bool:
        """Whether every write of it was answered."""
        return len(self.states) == 1


@dataclass
class Ledger:
    """Kept by several clients at once; each item is written by one of them."""

    items: dict[str, Held] = field(default_factory=dict)
    writes: list[Acknowledged] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def known(self, one: str, vector: Vectors) -> None:
        """Note an item of the bundle, of which nothing was written."""
        self.items[one] = Held([vector], "", vector)

    def acknowledged(self, write: Acknowledged, state: State) -> None:
        """Note a write that was answered."""
        with self._lock:
            before = self.items.get(write.id)
            last = state if state is not None else before.last if before else np.zeros(0)
            self.items[write.id] = Held([state], write.log_id, np.asarray(last, np.float32))
            self.writes.append(write)

    def unanswered(self, one: str, state: State) -> None:
        """Note a write that may have happened or not."""
        with self._lock:
            held = self.items.setdefault(one, Held([None], "", np.zeros(0, np.float32)))
            held.states.append(state)

    def answered(self, status: str) -> None:
        """Count an answer by its status, or a connection that ended without one."""
        with self._lock:
            self.statuses[status] += 1

    def fault(self, what: str) -> None:
        """Note what must never happen."""
        with self._lock:
            self.faults.append(what)

    def live(self) -> dict[str, Vectors]:
        """Return the items that must be there, and their vectors."""
        return {
            one: held.states[0]
            for one, held in self.items.items()
            if held.is_certain and held.states[0] is not None
        }

    def removed(self) -> dict[str, Vectors]:
        """Return the items that must not be there, and the vectors they had."""
        return {
            one: held.last
            for one, held in self.items.items()
            if held.is_certain and held.states[0] is None and len(held.last)
        }

    def uncertain(self) -> dict[str, list[State]]:
        """Return the items that may be in one of several states."""
        return {one: held.states for one, held in self.items.items() if not held.is_certain}
