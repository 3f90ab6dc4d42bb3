"""`count`: how many events match."""

from typing import ClassVar, Literal

from export.contract.statistics.base import Gives, Windowed
from export.contract.statistics.events import Events, Lookup


class Count(Windowed):
    """How many events match `where` in the window; 0 for an entity that has other events only."""

    aggregate: Literal["count"] = "count"

    gives: ClassVar[Gives] = "number"

    def fold(
        self,
        events: Events,
        now: float,
        *,
        items: Lookup | None = None,
        exclude: str | None = None,
    ) -> float | None:
        """Return the count just before `now`; None if there is no event before it."""
        past = events.before(now)
        return float(self.matching(past, now).sum()) if len(past) else None
