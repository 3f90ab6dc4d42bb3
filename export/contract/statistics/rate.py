"""`rate`: the share of label 1 among the events that match."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from export.contract.statistics.base import Where
from export.contract.statistics.total import Smoothed, Totals


class Rate(Smoothed):
    """The share of label 1 among the events that match, smoothed towards that of all."""

    aggregate: Literal["rate"] = "rate"
    prior: float | None = Field(default=None, ge=0.0, le=1.0)

    @field_validator("where")
    @classmethod
    def _says_nothing_of_the_label(cls, where: Where) -> Where:
        if "label" in where:
            raise ValueError(
                "got a condition on label, of which the rate is taken: remove it, "
                "or use aggregate: count"
            )
        return where

    def addends(self, facts: Mapping[str, NDArray[Any]], size: int) -> Totals:
        """Return 1 for each event, and its label."""
        return np.stack([np.ones(size, dtype=np.int64), (facts["label"] == 1).astype(np.int64)])

    def amount(self, totals: Totals) -> NDArray[np.float64]:
        """Return the number of labels 1."""
        amount: NDArray[np.float64] = totals[1].astype(np.float64)
        return amount
