"""`distinct`: how many different ids, or words of their items, the events that match met."""

from typing import ClassVar, Literal

from pydantic import Field

from export.contract.statistics.base import Gives, Windowed
from export.contract.statistics.events import Events, Lookup


class Distinct(Windowed):
    """The number of distinct ids on the other side in the events that match.

    With `of`, an item feature of words, the number of distinct words of the items there: by how
    many authors a user has seen something.
    """

    aggregate: Literal["distinct"] = "distinct"
    of: str | None = Field(default=None, min_length=1)

    gives: ClassVar[Gives] = "number"

    @property
    def words_of(self) -> str | None:
        """The item feature."""
        return self.of

    def fold(
        self,
        events: Events,
        now: float,
        *,
        items: Lookup | None = None,
        exclude: str | None = None,
    ) -> float | None:
        """Return the number just before `now`; None if there is no event before it."""
        past = events.before(now)
        if not len(past):
            return None
        met: set[str] = set(past.other[self.matching(past, now)].tolist())
        if self.of is None:
            return float(len(met))
        if items is None:
            raise ValueError(f"distinct words of {self.of!r} need the items' words")
        return float(len({word for one in met for word in items(one) or ()}))
