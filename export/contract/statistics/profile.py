"""`profile`: what the items of a user's newest events have in common."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from export.contract.statistics.base import Gives, Recent
from export.contract.statistics.events import Events, Lookup


class Profile(Recent):
    """The words of one item feature, weighted by how often the newest `n` events met them.

    A word's weight is the number of events whose item carries it, or the sum of its weights
    there if the feature has weights. The `words` heaviest are kept, heaviest first, equal ones in
    the order of their text.
    """

    aggregate: Literal["profile"] = "profile"
    of: str = Field(min_length=1)
    """The item feature: tags, a text, a sequence or a category."""
    words: int = Field(default=20, ge=1, le=10_000)

    gives: ClassVar[Gives] = "tags"

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
    ) -> dict[str, float] | None:
        """Return word -> weight just before `now`; None if there is no event before it."""
        if items is None:
            raise ValueError(f"a profile of {self.of!r} needs the items' words")
        newest = self.newest(events, now, items, exclude)
        if newest is None:
            return None
        words: list[str] = []
        weights: list[float] = []
        for item in newest:
            carried = items(item) or ()
            if not isinstance(carried, Mapping):
                carried = dict.fromkeys(carried, 1.0)
            words += carried.keys()
            weights += carried.values()
        bag: dict[str, float] = {}
        rounded = np.array(weights, dtype=np.float32).tolist()  # what training adds up
        for word, weight in zip(words, rounded, strict=True):
            bag[word] = bag.get(word, 0.0) + weight
        heaviest = sorted(bag.items(), key=lambda entry: (-entry[1], entry[0]))
        return dict(heaviest[: self.words])
