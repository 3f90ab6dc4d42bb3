"""`rate`: the share of label 1 among the events that match."""

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from export.contract.errors import SchemaError
from export.contract.statistics.base import Gives, Where, Windowed
from export.contract.statistics.events import Events, Lookup


class Rate(Windowed):
    """(sum of labels + smoothing * prior) / (events + smoothing), over the events that match.

    Missing where nothing matches and nothing is smoothed. `prior` is the same share over all
    train rows that match; left blank, training fills it.
    """

    aggregate: Literal["rate"] = "rate"
    smoothing: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    prior: float | None = Field(default=None, ge=0.0, le=1.0)

    gives: ClassVar[Gives] = "number"

    @field_validator("where")
    @classmethod
    def _says_nothing_of_the_label(cls, where: Where) -> Where:
        if "label" in where:
            raise ValueError(
                "got a condition on label, of which the rate is taken: remove it, "
                "or use aggregate: count"
            )
        return where

    def share(self) -> tuple[float, float]:
        """Return what smoothing adds above and below the line; SchemaError before fitting."""
        if self.smoothing == 0.0:
            return 0.0, 0.0
        if self.prior is None:
            raise SchemaError(
                f"rate: smoothing is {self.smoothing} and prior is blank; fit it on the train rows"
            )
        return self.smoothing * self.prior, self.smoothing

    def fold(
        self,
        events: Events,
        now: float,
        *,
        items: Lookup | None = None,
        exclude: str | None = None,
    ) -> float | None:
        """Return the rate just before `now`; None if no event is before it, or none matches."""
        past = events.before(now)
        if not len(past):
            return None
        mask = self.matching(past, now)
        above, below = self.share()
        total = float(mask.sum()) + below
        return (float(past.label[mask].sum()) + above) / total if total else None
