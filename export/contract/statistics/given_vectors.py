"""Statistics of given vectors: the mean of those of the other side that an entity met last."""

from array import array
from typing import ClassVar

import numpy as np
from pydantic import Field

from export.contract.statistics.base import Floats, Gives, Recent
from export.contract.statistics.events import Events, Lookup


class GivenVectors(Recent):
    """The mean of frozen vectors of who stands in the newest `n` events that match.

    Who has no vector counts among the `n` and not in the mean; missing where nobody has one.
    Vectors are float32, added up in float64 from the oldest event on.
    """

    vectors: str = Field(min_length=1)
    """The file in the data folder: ids of the other side and vectors. Never of the own tower."""

    gives: ClassVar[Gives] = "vector"

    @property
    def data_files(self) -> tuple[str, ...]:
        """The file of vectors."""
        return (self.vectors,)

    @property
    def vectors_of(self) -> str | None:
        """The file."""
        return self.vectors

    def fold(
        self,
        events: Events,
        now: float,
        *,
        items: Lookup | None = None,
        exclude: str | None = None,
    ) -> Floats | None:
        """Return the mean just before `now`; None if no event is before it or none has a vector.

        `items` gives the vector of one of the other side, and nothing for one that is known and
        has none.
        """
        if items is None:
            other = self.aggregate.partition("_")[0]
            raise ValueError(f"{self.aggregate} of {self.vectors!r} need the {other}s' vectors")
        newest = self.newest(events, now, items, exclude) or []
        found = [np.asarray(list(items(one) or ()), dtype=np.float32) for one in newest]
        known = [vector.astype(np.float64) for vector in found if len(vector)]
        if not known:
            return None
        total = np.zeros(len(known[0]))
        for vector in known:
            total += vector
        return array("f", (total / len(known)).astype(np.float32).tobytes())
