"""Columns that look into the future: numbers that were counted over test rows too."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from export.contract.features import Number
from export.contract.side import SIDES, SideName
from training.doctor.base import Finding, Patient
from training.doctor.ranks import partial, spearman
from training.parts import TEST

LEAST = 50  # entities with rows before test
PARTIAL = 0.5
CLOSE = 0.95

Floats = NDArray[np.float64]


def look(patient: Patient) -> Iterator[Finding]:
    """Find numbers of users and items that follow test rows beyond what went before them.

    Over the entities with rows before test, a column is held against how many rows, clicks, and
    clicks a row they have. It looks ahead if either

    - its rank correlation with a figure of test rows is at least .5 once the figures of before
      are taken out (content may tell how well an item does; what went before tells that too), or
    - it correlates with a figure of all rows by at least .95, and leaves less than half of what
      the best figure of before leaves unexplained.
    """
    for side in SIDES:
        before, test = _figures(patient, side, test=False), _figures(patient, side, test=True)
        for name, feature in patient.given(side):
            if isinstance(feature, Number):
                values = [np.nan if v is None else v for v in patient.values(side, name)]
                column = np.array(values, dtype=np.float64)
                yield from _judged(patient.path(side, name), column, before, test)


def _judged(
    where: str, column: Floats, before: dict[str, Floats], test: dict[str, Floats]
) -> Iterator[Finding]:
    known = np.isfinite(column) & (before["rows"] > 0)
    if known.sum() < LEAST:
        return
    column, past = column[known], {name: one[known] for name, one in before.items()}
    ahead = {name: one[known] for name, one in test.items()}
    by_test = {
        name: partial(column, one, _shares(past)) for name, one in _with_share(ahead).items()
    }
    alike = {
        name: abs(spearman(column, one + past[name])) for name, one in ahead.items() if one.any()
    }
    best_past = max(abs(spearman(column, one)) for one in past.values())
    strongest = max(by_test, key=lambda name: abs(by_test[name]))
    best_all = max(alike.values(), default=0.0)
    counts_all = best_all >= CLOSE and 1 - best_all < (1 - best_past) / 2
    if abs(by_test[strongest]) < PARTIAL and not counts_all:
        return
    yield Finding(
        "serious",
        where,
        f"follows the {strongest} of test rows beyond what went before them",
        "leave it out, take it as of the end of training, or declare it on the log "
        "(aggregate: count, rate or mean), which is exact for every moment",
        {
            "partial_correlation": round(by_test[strongest], 4),
            "correlation_all_rows": round(best_all, 4),
            "correlation_before": round(best_past, 4),
            "entities": int(known.sum()),
        },
    )


def _figures(patient: Patient, side: SideName, *, test: bool) -> dict[str, Floats]:
    """Return rows and clicks of each entity, in test or before it."""
    rows, size = patient.data.interactions, len(patient.table(side))
    mask = (patient.split.part == TEST) == test
    entity, clicked = patient.ids(side)[mask], rows.label[mask] > 0
    counts = np.bincount(entity, minlength=size).astype(np.float64)
    return {"rows": counts, "clicks": np.bincount(entity, clicked, size).astype(np.float64)}


def _with_share(figures: dict[str, Floats]) -> dict[str, Floats]:
    """Add clicks a row; half a click stands for what an entity without rows may have."""
    return figures | {"clicks a row": (figures["clicks"] + 0.5) / (figures["rows"] + 1)}


def _shares(figures: dict[str, Floats]) -> list[NDArray[np.float64]]:
    return list(_with_share(figures).values())
