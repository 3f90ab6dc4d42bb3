"""Random: every item alike, so what is measured is chance itself."""

from benchmarks.quality.known import Fitted, Known
from benchmarks.quality.rivals.base import Plain, Selected
from training.baselines import random_scores
from training.search import Values


class Chance(Plain):
    """All items tie, and ties are broken at random."""

    name = "random"

    def fit(self, known: Known, options: Values, seed: int, selected: Selected) -> Fitted:
        """Fit nothing."""
        return Fitted(random_scores(len(known.data.items)))
