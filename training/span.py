"""The values an option is searched among."""

import math
from dataclasses import dataclass
from typing import Any

import yaml

from export.contract.errors import ConfigError
from training.document import parse_yaml

LOG_FROM = 10.0  # a span whose ends differ by this factor is searched on a logarithmic scale


@dataclass(frozen=True)
class Span:
    """All numbers from `low` to `high`, both included; whole ones if both are, or in steps."""

    low: float
    high: float
    step: float | None = None

    @property
    def is_log(self) -> bool:
        """Whether factors count rather than differences: the ends are far apart."""
        return self.step is None and self.low > 0 and self.high / self.low >= LOG_FROM


@dataclass(frozen=True)
class Choice:
    """One of some values, in no order."""

    values: tuple[Any, ...]


Searched = Span | Choice


def read_searched(text: str) -> tuple[str, Searched]:
    """Return the path and the values of `path=low..high` or `path=[one, other]`.

    Raises:
        ConfigError: It is neither.
    """
    path, equals, right = text.partition("=")
    wrong = ConfigError(f"--search {text}: expected path=low..high or path=[one, other]")
    if not equals or not path:
        raise wrong
    low, dots, high = right.partition("..")
    try:
        if dots:
            return path, _span(parse_yaml(low), parse_yaml(high))
        values = parse_yaml(right)
    except yaml.YAMLError as error:
        raise wrong from error
    except ValueError as error:
        raise ConfigError(f"--search {text}: {error}") from error
    if not isinstance(values, list) or len(values) < 2:
        raise wrong
    return path, Choice(tuple(values))


def _span(low: Any, high: Any) -> Span:
    for end in (low, high):
        if isinstance(end, bool) or not isinstance(end, int | float) or not math.isfinite(end):
            raise ValueError(f"got {end!r}, expected a number")
    if not low < high:
        raise ValueError(f"got {low}..{high}, expected the lower end first")
    return Span(low, high)
