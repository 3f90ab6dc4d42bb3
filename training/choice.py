"""Choice: what validation says of the configurations of a comparison, and which it takes."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from export.contract.run import RunLayout
from training.figures import Figures, figure, mean_over_runs, spread_over_runs
from training.slices import SLICES

SELECTED = "selected"


def choose(runs: Mapping[str, Sequence[RunLayout]]) -> dict[str, Any]:
    """Return what finished runs reached on validation, by name, and the name that did best.

    Only what training wrote down counts, so test has no say.

    Args:
        runs: One or several seeds of each configuration.

    Returns:
        `mean` and `spread`: name -> recall@100 by slice, and `selected`, by which epochs were
        selected as well; `chosen`: the name whose mean `selected` is highest, the first of
        equals; None where all are equal, as where there is only one.
    """
    found = {name: [validated(layout) for layout in group] for name, group in runs.items()}
    mean = {name: mean_over_runs(group) for name, group in found.items()}
    decisive = {name: figures[SELECTED] for name, figures in mean.items()}
    is_told = len(set(decisive.values())) > 1
    return {
        "mean": mean,
        "spread": {name: spread_over_runs(group) for name, group in found.items()},
        "chosen": max(decisive, key=lambda name: decisive[name]) if is_told else None,
    }


def validated(layout: RunLayout) -> Figures:
    """Return the validation figures of a finished run's selected epoch."""
    metrics = json.loads(layout.metrics.read_text(encoding="utf-8"))
    epoch = next(e for e in metrics["epochs"] if e["epoch"] == metrics["selected_epoch"])
    return {name: figure(epoch[name]) for name in (*SLICES, SELECTED) if name in epoch}
