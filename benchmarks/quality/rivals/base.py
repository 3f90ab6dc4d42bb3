"""What a rival is: options worth a search, and a fit to what is known."""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from benchmarks.quality.known import Fitted, Known
from training.metrics import Block, Indices, Scores
from training.search import Values
from training.span import Searched

# Tells the selected options of another rival.
Selected = Callable[[str], Values]


class Rival(Protocol):
    """A scorer that is no model of ours.

    `is_random` says that a seed makes a difference; `needs` names the rival whose selected
    options it builds on, None for none.
    """

    name: str
    is_random: bool
    needs: str | None

    def suits(self, known: Known) -> bool:
        """Say whether there is something for it in this data."""

    def space(self, known: Known) -> Mapping[str, Searched]:
        """Return what is searched; nothing where the rival has nothing to tune."""

    def start(self, known: Known) -> Values:
        """Return the options that the search begins with."""

    def fit(self, known: Known, options: Values, seed: int, selected: Selected) -> Fitted:
        """Fit it to the rows that are known."""


class Plain:
    """What most rivals are: they suit any data, with no seed and nothing to tune."""

    is_random = False
    needs: str | None = None

    def suits(self, known: Known) -> bool:
        """Suit any data."""
        return True

    def space(self, known: Known) -> Mapping[str, Searched]:
        """Search nothing."""
        return {}

    def start(self, known: Known) -> Values:
        """Begin with nothing."""
        return {}


def popular_for_strangers(scores: Scores, known: Known) -> Scores:
    """Score whoever clicked nothing by popularity, everyone else by `scores`."""
    counts = known.popularity()
    clicked = np.diff(known.clicks.indptr) > 0

    def both(users: Indices) -> Block:
        found: Block = np.array(scores(users), dtype=np.float32)
        found[~clicked[users]] = counts
        return found

    return both
