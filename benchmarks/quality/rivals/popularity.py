"""Popularity: clicks of all known rows or, where time is known, of the last days."""

from collections.abc import Mapping

from benchmarks.quality.known import Fitted, Known
from benchmarks.quality.rivals.base import Plain, Selected
from training.baselines import popularity_scores
from training.evaluate import DAY_S, WINDOWS_DAYS
from training.search import Values
from training.span import Choice, Searched


class Popularity(Plain):
    """The same order for everyone; `days` 0 counts all rows."""

    name = "popularity"

    def space(self, known: Known) -> Mapping[str, Searched]:
        """Search the days that count."""
        timed = known.data.interactions.timestamp is not None
        return {"days": Choice((0, *WINDOWS_DAYS))} if timed else {}

    def start(self, known: Known) -> Values:
        """Begin with all rows."""
        return dict.fromkeys(self.space(known), 0)

    def fit(self, known: Known, options: Values, seed: int, selected: Selected) -> Fitted:
        """Count."""
        days = options.get("days", 0)
        return Fitted(popularity_scores(known.popularity(days * DAY_S if days else None)))
