"""What was measured, as figures that JSON holds; means and spread over runs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from training.metrics import RankMetrics

Figure = float | None
Figures = dict[str, Any]  # figures by name, or by slice and name


def slice_figures(slices: Mapping[str, RankMetrics]) -> Figures:
    """Return the figures of each slice: recall, ndcg and mrr at k, and how many they speak for."""
    return {
        name: {
            **{f"recall@{k}": figure(value) for k, value in found.recall.items()},
            **{f"ndcg@{k}": figure(value) for k, value in found.ndcg.items()},
            **{f"mrr@{k}": figure(value) for k, value in found.mrr.items()},
            "users": found.users,
            "pairs": found.pairs,
            "pairs_left_out": found.pairs_left_out,
        }
        for name, found in slices.items()
    }


def mean_over_runs(runs: Sequence[Figures]) -> Figures:
    """Return each figure's mean; None where a run has none."""
    return _each(runs, lambda values: figure(sum(values) / len(values)))


def spread_over_runs(runs: Sequence[Figures]) -> Figures:
    """Return each figure's [lowest, highest]; None where a run has none."""
    return _each(runs, lambda values: [min(values), max(values)])


def _each(runs: Sequence[Figures], of: Callable[[list[Any]], Any]) -> Figures:
    found: Figures = {}
    for name, value in runs[0].items():
        if isinstance(value, dict):
            found[name] = _each([run[name] for run in runs], of)
        else:
            values = [run[name] for run in runs]
            whole = all(isinstance(one, int) for one in values) and len(set(values)) == 1
            known = all(one is not None for one in values)
            found[name] = value if whole else of(values) if known else None
    return found


def figure(value: float) -> Figure:
    """Return a figure that JSON can hold: none for nan."""
    return None if np.isnan(value) else float(value)
