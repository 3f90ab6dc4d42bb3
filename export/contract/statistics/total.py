"""What adds up over events, so that the difference of two running totals is exact."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from export.contract.errors import SchemaError
from export.contract.statistics.base import Gives, Windowed
from export.contract.statistics.events import Events, Lookup

Totals = NDArray[np.int64]
"""Sums of whole numbers, [terms, ...]: equal in whatever order they were added up."""


class Total(Windowed):
    """A statistic that sums of whole numbers over the events are enough for.

    With `by`, a content feature of the same side, it is that of a parent concept: of the events
    of all other entities with the same word there. Whoever folds it gives it these events.
    """

    by: str | None = Field(default=None, min_length=1)

    gives: ClassVar[Gives] = "number"

    @abstractmethod
    def addends(self, facts: Mapping[str, NDArray[Any]], size: int) -> Totals:
        """Return what each of `size` events adds if it matches: [terms, size].

        Raises ConfigError for a column that is not there or holds no numbers.
        """

    @abstractmethod
    def value(self, totals: Totals) -> NDArray[np.float64]:
        """Return the statistic of each column of totals; NaN where they do not tell."""

    def fold(
        self,
        events: Events,
        now: float,
        *,
        items: Lookup | None = None,
        exclude: str | None = None,
    ) -> float | None:
        """Return the value just before `now`; None if no event is before it or none tells."""
        past = events.before(now)
        if not len(past):
            return None
        matching = self.matching(past, now)
        totals = self.addends(past.facts(), len(past))[:, matching].sum(axis=1)
        value = float(self.value(totals))
        return None if math.isnan(value) else value


class Smoothed(Total):
    """(amount + smoothing * prior) / (number + smoothing), over the events that match.

    Missing where nothing matches and nothing is smoothed. `prior` is the same share over all
    train rows that match; left blank, training fills it.
    """

    smoothing: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    prior: float | None = Field(default=None, allow_inf_nan=False)

    @abstractmethod
    def amount(self, totals: Totals) -> NDArray[np.float64]:
        """Return what is above the line; the first row of totals is below it."""

    def share(self) -> tuple[float, float]:
        """Return what smoothing adds above and below the line; SchemaError before fitting."""
        if self.smoothing == 0.0:
            return 0.0, 0.0
        if self.prior is None:
            raise SchemaError(
                f"{self.aggregate}: smoothing is {self.smoothing} and prior is blank; fit it on "
                "the train rows"
            )
        return self.smoothing * self.prior, self.smoothing

    def value(self, totals: Totals) -> NDArray[np.float64]:
        """Return the smoothed share."""
        above, below = self.share()
        number = totals[0] + below
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(number > 0, (self.amount(totals) + above) / number, np.nan)
