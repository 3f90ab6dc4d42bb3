"""`last`: whom or what the newest events were with."""

from typing import ClassVar, Literal

from export.contract.statistics.base import Gives, Recent
from export.contract.statistics.events import Events, Lookup


class Last(Recent):
    """The ids on the other side in the newest `n` events that match, newest last, with repeats."""

    aggregate: Literal["last"] = "last"

    gives: ClassVar[Gives] = "sequence"

    def fold(
        self,
        events: Events,
        now: float,
        *,
        items: Lookup | None = None,
        exclude: str | None = None,
    ) -> list[str] | None:
        """Return the ids just before `now`, newest last; None if there is no event before it."""
        return self.newest(events, now, items, exclude)
