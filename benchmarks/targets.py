"""Ratios that are taken within a round, told over all rounds beside what they should be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Generic, TypeVar

R = TypeVar("R")


@dataclass(frozen=True)
class Target(Generic[R]):
    """A ratio of a round, and what it should be at most, or (`is_least`) at least."""

    name: str
    of: Callable[[R], float]
    limit: float
    is_least: bool = False

    @property
    def told(self) -> str:
        """The limit in words."""
        return f"at {'least' if self.is_least else 'most'} {self.limit:g}"

    def is_met(self, value: float) -> bool:
        """Say whether a value meets it."""
        return value >= self.limit if self.is_least else value <= self.limit


def ratios(targets: Sequence[Target[R]], rounds: Sequence[R]) -> list[dict[str, Any]]:
    """Return each ratio: its median, least and most over the rounds, its target, and if met."""
    told = []
    for target in targets:
        found = [target.of(one) for one in rounds]
        middle = median(found)
        told.append(
            {
                "ratio": target.name,
                "median": round(middle, 3),
                "least": round(min(found), 3),
                "most": round(max(found), 3),
                "target": target.told,
                "is": "met" if target.is_met(middle) else "missed",
            }
        )
    return told
