"""How far a reader of the item log is behind its end, in entries and in seconds."""

import time

from service.store import Behind, LogId


class Lag:
    """What was last measured in the log, less what was applied since.

    Seconds are the age of the oldest entry that is not applied, by the clock of Redis alone: it
    gave the entry its id. Between two measurements this machine's monotonic clock counts on.
    """

    def __init__(self) -> None:
        self.entries = 0
        """Entries that are in the log and are not applied, or at least how many."""
        self._least = 0
        self._oldest: LogId | None = None
        self._ahead_ms = 0.0  # of Redis' clock, over our monotonic one

    @property
    def seconds(self) -> float:
        """The age of the oldest entry that is not applied; 0 where there is none."""
        if self._oldest is None:
            return 0.0
        return max(0.0, (time.monotonic() * 1000 + self._ahead_ms - self._oldest.ms) / 1000)

    def measured(self, behind: Behind) -> None:
        """Take over a measurement."""
        self.entries, self._oldest = behind.entries, behind.oldest
        self._least = 1 if behind.is_least else 0  # what was not counted comes after what was
        self._ahead_ms = behind.now_ms - time.monotonic() * 1000

    def found(self, count: int, oldest: LogId) -> None:
        """Note entries that were read and wait to be applied; more may come after them."""
        if count > self.entries:
            self.entries = count
        self._oldest = oldest

    def applied(self, count: int, last: LogId) -> None:
        """Note that so many entries were applied, up to a place; what comes next is not older."""
        self.entries = max(self._least, self.entries - count)
        self._oldest = last if self.entries else None
