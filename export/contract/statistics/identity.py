"""`identity`: the entity itself, once it has a past; what lets a tower learn a vector for it."""

from typing import ClassVar, Literal

from export.contract.statistics.base import Aggregate, Gives
from export.contract.statistics.events import Events, Lookup


class Identity(Aggregate):
    """The entity's own id, from its first event on.

    A preference and never content: an id that is never dropped is an untrained vector for
    whoever is new.
    """

    aggregate: Literal["identity"] = "identity"

    gives: ClassVar[Gives] = "category"

    def fold(
        self,
        events: Events,
        now: float,
        *,
        items: Lookup | None = None,
        exclude: str | None = None,
    ) -> str | None:
        """The id just before `now`; None if there is no event before it.

        `where` asks nothing of it, and `exclude` is of the other side.
        """
        del items, exclude
        return events.entity if len(events.before(now)) else None
