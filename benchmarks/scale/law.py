"""How a figure grows with the number of items: a line, or a power of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["line", "power"]


@dataclass(frozen=True)
class Law:
    """`base + slope * n`, or `slope * n ** power`, for n items."""

    kind: Kind
    base: float
    slope: float
    power: float = 1.0

    @classmethod
    def fitted(cls, kind: Kind, measured: Mapping[int, float]) -> "Law":
        """Return the law of least squares through figures by number of items, at least two.

        Of a power the squares are those of logarithms, so that small and large count alike.
        """
        n, found = np.array([*measured], float), np.array([*measured.values()], float)
        if kind == "line":
            slope, base = np.polyfit(n, found, 1)
            return cls("line", float(base), float(slope))
        power, base = np.polyfit(np.log(n), np.log(found), 1)
        return cls("power", 0.0, float(np.exp(base)), float(power))

    def at(self, items: int) -> float:
        """Return what it gives for so many items."""
        return float(self.base + self.slope * items**self.power)

    @property
    def told(self) -> str:
        """The law as a formula."""
        if self.kind == "line":
            return f"{self.base:.3g} + {self.slope:.3g} n"
        return f"{self.slope:.3g} n^{self.power:.2f}"
