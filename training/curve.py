"""The curve over an option's values: recall@100 by slice, on validation and on test."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.report import names
from training.slices import SLICES
from training.span import Span
from training.variation import word

Point = tuple[float, float, float]  # the mean over seeds, the lowest and the highest; nan: none
Lines = dict[str, list[Point]]  # slice -> a point for each value


@dataclass(frozen=True)
class Curve:
    """Lines over places on an axis: numbers by their size, words one beside the other.

    `x` ascends, `labels` are the words (none for numbers), and `chosen` is the place of what
    validation takes, if it takes any.
    """

    path: str
    x: list[float]
    labels: list[str] | None
    validation: Lines
    test: Lines
    chosen: float | None

    @property
    def is_log(self) -> bool:
        """Whether factors count rather than differences."""
        return self.labels is None and Span(self.x[0], self.x[-1]).is_log


def curve_of(found: Mapping[str, Any]) -> Curve:
    """Return the curve of a comparison's document that has `vary`."""
    values, validation = found["vary"]["values"], found["validation"]
    order, x, labels = _places(values)
    scorers = {name: scorer for scorer, name in names(dict(found)).items()}
    recall = {
        name: {one: of["recall@100"] for one, of in found["slices"][scorers[name]].items()}
        for name in order
    }
    ends = {
        name: {
            one: of["recall@100"] for one, of in found["spread"]["slices"][scorers[name]].items()
        }
        for name in order
        if scorers[name] in found["spread"]["slices"]
    }
    chosen = validation["chosen"]
    return Curve(
        path=found["vary"]["path"],
        x=x,
        labels=labels,
        validation=_lines(order, validation["mean"], validation["spread"]),
        test=_lines(order, recall, ends),
        chosen=None if chosen is None else x[order.index(chosen)],
    )


def _places(values: Mapping[str, Any]) -> tuple[list[str], list[float], list[str] | None]:
    """Return the names in the order of the axis, their places, and what is written there."""
    if all(isinstance(one, int | float) and not isinstance(one, bool) for one in values.values()):
        order = sorted(values, key=lambda name: values[name])
        return order, [float(values[name]) for name in order], None
    labels = [word(value) for value in values.values()]
    return list(values), [float(place) for place in range(len(values))], labels


def _lines(order: Sequence[str], mean: Mapping[str, Any], spread: Mapping[str, Any]) -> Lines:
    there = [one for one in SLICES if any(one in mean[name] for name in order)]
    return {
        one: [_point(mean[name].get(one), spread.get(name, {}).get(one)) for name in order]
        for one in there
    }


def _point(value: float | None, ends: Sequence[float] | None) -> Point:
    if value is None:
        return math.nan, math.nan, math.nan
    low, high = ends or (value, value)
    return value, low, high
