"""Rows that stand twice, contradict each other or belong to nobody."""

from collections.abc import Iterator

import numpy as np

from training.doctor.base import Finding, Patient

REPEATS, STRANGERS, CONFLICTS = 0.01, 0.01, 0.0005
SERIOUS = 0.2


def look(patient: Patient) -> Iterator[Finding]:
    """Find exact repeats, rows of unknown ids, and clicks that are also said to be none.

    Rows contradict each other if user, item and moment (timestamp, else order, else any) are the
    same and the labels are not. Repeats and unknown ids are told from 1 % of all rows on,
    contradictions from 0.05 %; a fifth of all rows is serious.
    """
    dropped, kept = patient.data.dropped, len(patient.data.interactions)
    total = kept + sum(dropped.values())
    strangers = dropped.get("unknown_user", 0) + dropped.get("unknown_item", 0)
    yield from _found(
        "exact repeats of another row",
        dropped.get("exact_repeat", 0),
        total,
        REPEATS,
        "they are left out; see whether the table was joined or written twice",
    )
    yield from _found(
        "rows with an id that users or items does not list",
        strangers,
        total,
        STRANGERS,
        "they are left out; complete the tables, and see whether ids are written alike ('01', '1')",
    )
    yield from _found(
        "rows with both labels for one user, item and moment",
        conflicts(patient),
        total,
        CONFLICTS,
        "keep one row a showing, with label 1 if it was clicked",
    )


def conflicts(patient: Patient) -> int:
    """Return the number of rows whose user, item and moment stand with both labels."""
    rows = patient.data.interactions
    clock = rows.timestamp if rows.timestamp is not None else rows.order
    moment = np.zeros(len(rows)) if clock is None else clock.astype(np.float64)
    order = np.lexsort((moment, rows.item, rows.user))
    keys = np.column_stack([rows.user[order], rows.item[order], moment[order]])
    starts = np.flatnonzero(np.append(True, (keys[1:] != keys[:-1]).any(axis=1)))
    sizes = np.diff(np.append(starts, len(rows)))
    clicked = np.add.reduceat((rows.label[order] > 0).astype(np.int64), starts)
    return int(sizes[(clicked > 0) & (clicked < sizes)].sum())


def _found(what: str, count: int, total: int, least: float, remedy: str) -> Iterator[Finding]:
    share = count / total
    if count and share >= least:
        yield Finding(
            "serious" if share >= SERIOUS else "warning",
            "interactions",
            f"{count} {what} ({share:.1%})",
            remedy,
            {"rows": count, "share": round(share, 4)},
        )
