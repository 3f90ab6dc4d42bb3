"""Columns of the interactions that tell the label of their own row."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from export.contract.features import Category, Feature, Number
from export.contract.side import SIDES
from training.columns import Carried
from training.doctor.base import Finding, Patient
from training.parts import TRAIN, VALIDATION
from training.telling import as_numbers, telling

TELLS = 0.95


def look(patient: Patient) -> Iterator[Finding]:
    """Find given context and preference whose AUC for the row's label is .95 or above.

    It is taken over all rows, within each user and item, and of the step from the entity's row
    before (see `training.telling`). Declared statistics cannot see their own row.
    """
    rows = patient.data.interactions
    learned = np.isin(patient.split.part, (TRAIN, VALIDATION))
    entities = {"user": rows.user[learned], "item": rows.item[learned]}
    clock = rows.timestamp if rows.timestamp is not None else rows.order
    moment = None if clock is None else clock[learned]
    label = rows.label[learned]
    for side in SIDES:
        features = (patient.config.user if side == "user" else patient.config.item).features
        for name, column in rows.carried[side].items():
            values = _numbers(features[name], column, learned, label)
            if values is None:
                continue
            found = telling(values, label, entities, moment)
            where = max(found, key=lambda key: found[key], default="")
            if found.get(where, 0) >= TELLS:
                yield Finding(
                    "serious",
                    patient.path(side, name),
                    f"tells the label of its own row ({where})",
                    "give it as it was before the row happened, or leave it out; a statistic "
                    "declared on the log never sees its own row",
                    {f"auc {key}": round(value, 4) for key, value in found.items()},
                )


def _numbers(
    feature: Feature, column: Carried, rows: NDArray[np.bool_], label: NDArray[np.int8]
) -> NDArray[np.float64] | None:
    """Return the column as numbers, of words the share of clicks; None for other kinds."""
    if isinstance(feature, Category):
        return as_numbers(column.code[rows], label)
    if not isinstance(feature, Number):
        return None
    values = [np.nan if value is None else value for value in column.values]
    return np.array(values, dtype=np.float64)[column.code[rows]]
