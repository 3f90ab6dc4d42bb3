"""`mean`: the mean of a numeric column of the interactions, such as seconds watched."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from export.contract.errors import ConfigError
from export.contract.statistics.total import Smoothed, Totals

MOST = 2.0**40
"""No value of the column may be further from 0; parts below 1 / MOST are rounded off."""


class Mean(Smoothed):
    """The mean of column `of` over the events that match and hold a number there.

    Numbers are added up as whole numbers and as fractions of 2^-40, which is exact: the order
    of the events does not show in the last digit.
    """

    aggregate: Literal["mean"] = "mean"
    of: str = Field(min_length=1)
    """The column of the interactions; an empty cell does not count."""

    @field_validator("of")
    @classmethod
    def _is_no_label(cls, of: str) -> str:
        if of == "label":
            raise ValueError("got 'label', whose mean is the rate: use aggregate: rate")
        return of

    def addends(self, facts: Mapping[str, NDArray[Any]], size: int) -> Totals:
        """Return 1 for each event with a number, its whole part, and the rest in 1 / MOST."""
        if self.of not in facts:
            raise ConfigError(
                f"of: the interactions have no column {self.of!r}; they have {sorted(facts)}"
            )
        values = self._numbers(facts[self.of])
        known = ~np.isnan(values)
        part, whole = np.modf(np.where(known, values, 0.0))
        return np.stack([known, whole, np.rint(part * MOST)]).astype(np.int64)

    def amount(self, totals: Totals) -> NDArray[np.float64]:
        """Return the sum of the column."""
        amount: NDArray[np.float64] = totals[1] + totals[2] / MOST
        return amount

    def _numbers(self, column: NDArray[Any]) -> NDArray[np.float64]:
        """Return float64, NaN where there is no number; text as CSV has it is read."""
        try:
            if column.dtype.kind == "O":
                column = np.array([_number(cell) for cell in column.tolist()], dtype=np.float64)
            values: NDArray[np.float64] = column.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"of: column {self.of!r} is not of numbers: {error}") from error
        wild = np.abs(values) > MOST
        if wild.any():
            got = values[np.argmax(wild)]
            raise ConfigError(f"of: column {self.of!r}: got {got}, expected numbers within 1e12")
        return values


def _number(cell: object) -> float:
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return math.nan
    if not isinstance(cell, str | int | float | np.number):
        raise TypeError(f"got {cell!r}")
    return float(cell)
