"""Rank correlations, plain and partial."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def ranks(values: NDArray[Any]) -> Floats:
    """Return ranks from 0 on, those of equal values their mean."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean: Floats = (np.cumsum(counts) - (counts + 1) / 2)[place]
    return mean


def spearman(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Return Spearman's rank correlation; 0 where one of them is constant."""
    return _correlation(ranks(first), ranks(second))


def partial(first: NDArray[Any], second: NDArray[Any], known: list[NDArray[Any]]) -> float:
    """Return the rank correlation of two columns once what `known` columns tell is taken out.

    Ranks are regressed on the ranks of the known ones, and the remainders correlated.
    """
    design = np.column_stack([np.ones(len(first)), *(ranks(one) for one in known)])
    rest = [_remainder(ranks(one), design) for one in (first, second)]
    return _correlation(*rest)


def _remainder(column: Floats, design: Floats) -> Floats:
    found, *_ = np.linalg.lstsq(design, column, rcond=None)
    rest: Floats = column - design @ found
    return rest if rest.std() > 1e-6 * max(1.0, column.std()) else np.zeros_like(rest)


def _correlation(first: Floats, second: Floats) -> float:
    if not first.std() or not second.std():
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])
