"""`item_vectors`: the mean of given vectors of the items a user met last."""

from array import array
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from export.contract.statistics.base import Floats, Gives, Recent
from export.contract.statistics.events import Events, Lookup


class ItemVectors(Recent):
    """The mean of frozen vectors of the items in the newest `n` events that match.

    DropoutNet's transform: it gives a user a preference from the first click on. Items without a
    vector count among the `n` and not in the mean; missing where no item has one. Vectors are
    float32, added up in float64 from the oldest event on.
    """

    aggregate: Literal["item_vectors"] = "item_vectors"
    vectors: str = Field(min_length=1)
    """The file in the data folder: columns item_id and vector. Never of the tower in training."""

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

        `items` gives the vector of an item, and nothing for one that is known and has none.
        """
        if items is None:
            raise ValueError(f"item_vectors of {self.vectors!r} need the items' vectors")
        newest = self.newest(events, now, items, exclude) or []
        found = [np.asarray(list(items(one) or ()), dtype=np.float32) for one in newest]
        known = [vector.astype(np.float64) for vector in found if len(vector)]
        if not known:
            return None
        total = np.zeros(len(known[0]))
        for vector in known:
            total += vector
        return array("f", (total / len(known)).astype(np.float32).tobytes())
