"""`identity`: the entity itself, once it has a past; what lets a tower learn a vector for it."""

from typing import ClassVar, Literal

from pydantic import field_validator

from export.contract.statistics.base import Aggregate, Gives, Where
from export.contract.statistics.events import Events, Lookup


class Identity(Aggregate):
    """The entity's own id, from its first event on.

    A preference and never content: an id that is never dropped is an untrained vector for
    whoever is new.
    """

    aggregate: Literal["identity"] = "identity"

    gives: ClassVar[Gives] = "category"

    @field_validator("where")
    @classmethod
    def _asks_nothing(cls, where: Where) -> Where:
        if where:
            raise ValueError("got a condition, but any event makes the id known: remove it")
        return where

    def fold(
        self,
        events: Events,
        now: float,
        *,
        items: Lookup | None = None,
        exclude: str | None = None,
    ) -> str | None:
        """Return the id just before `now`; None if there is no event before it."""
        del items, exclude
        return events.entity if len(events.before(now)) else None
