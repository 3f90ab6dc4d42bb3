"""How much a column of the interactions tells of the label of its own row."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.auc import auc, gauc

Floats = NDArray[np.float64]
LEAST = 20  # rows of either label, below which an AUC says nothing


def telling(
    values: Floats,
    label: NDArray[Any],
    entities: dict[str, NDArray[Any]],
    moment: NDArray[Any] | None = None,
) -> dict[str, float]:
    """Return AUCs of a column [rows] for the label, each folded to .5 and above.

    `over all` rows, `within` each entity of a name, and of the `step` from an entity's row
    before: a running count that holds its own row steps up by exactly its label. Where `moment`
    is missing, rows follow each other as they lie. NaN is missing; an AUC of fewer than 20 rows
    of either label is left out.
    """
    found = {"over all": _folded(values, label)}
    for name, entity in entities.items():
        known = ~np.isnan(values)
        within = gauc(entity[known], values[known], label[known])
        if min(within.rows, _fewest(label[known])) >= LEAST:
            found[f"within {name}"] = max(within.value, 1 - within.value)
        found[f"step of {name}"] = _folded(_steps(values, entity, moment), label)
    return {name: value for name, value in found.items() if not np.isnan(value)}


def as_numbers(codes: NDArray[Any], label: NDArray[Any]) -> Floats:
    """Turn words [rows], given as codes from 0 on, into the share of label 1 among other rows.

    Rows are dealt into two seeded halves, and a row's number comes from the other half, so that
    it cannot hold the row's own label. NaN for a word that the other half lacks.
    """
    half = np.random.default_rng(1).random(len(codes)) < 0.5
    numbers = np.full(len(codes), np.nan)
    size = int(codes.max(initial=-1)) + 1
    for own in (True, False):
        other = half != own
        rows = np.bincount(codes[other], minlength=size)
        clicked = np.bincount(codes[other], label[other] > 0, minlength=size)
        share = np.divide(clicked, rows, out=np.full(size, np.nan), where=rows > 0)
        numbers[~other] = share[codes[~other]]
    return numbers


def _steps(values: Floats, entity: NDArray[Any], moment: NDArray[Any] | None) -> Floats:
    """Return each row's difference to the same entity's row before; NaN for its first."""
    order = np.lexsort((np.arange(len(values)) if moment is None else moment, entity))
    steps = np.full(len(values), np.nan)
    follows = entity[order[1:]] == entity[order[:-1]]
    difference = values[order[1:]] - values[order[:-1]]
    steps[order[1:]] = np.where(follows, difference, np.nan)
    return steps


def _folded(values: Floats, label: NDArray[Any]) -> float:
    known = ~np.isnan(values)
    if _fewest(label[known]) < LEAST:
        return float("nan")
    found = auc(values[known], label[known])
    return max(found, 1 - found)


def _fewest(label: NDArray[Any]) -> int:
    clicked = int((label > 0).sum())
    return min(clicked, len(label) - clicked)
