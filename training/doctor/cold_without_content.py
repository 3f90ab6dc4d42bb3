"""Cold positives of whom nothing is known: no model can place them."""

from collections.abc import Iterator

import numpy as np

from export.contract.side import SIDES
from training.doctor.base import Finding, Patient, Severity
from training.parts import TEST

WARNING, SERIOUS = 0.05, 0.3


def look(patient: Patient) -> Iterator[Finding]:
    """Find test positives of cold items, and of cold users, without any content value.

    A warning from 5 % on. From 30 % on it is serious for items; users of whom nothing is known
    are given what is popular.
    """
    rows = patient.data.interactions
    positive = (patient.split.part == TEST) & (rows.label > 0)
    for side in SIDES:
        content = (patient.config.user if side == "user" else patient.config.item).content
        given = [name for name, feature in content.items() if feature.statistic is None]
        records = patient.table(side).records
        bare = np.array([not any(name in record for name in given) for record in records])
        cold = patient.split.cold_users if side == "user" else patient.split.cold_items
        entity = patient.ids(side)[positive]
        entity = entity[cold[TEST][entity]]
        share = float(bare[entity].mean()) if len(entity) else 0.0
        if share < WARNING:
            continue
        severity: Severity = "serious" if share >= SERIOUS and side == "item" else "warning"
        yield Finding(
            severity,
            f"{side}.content",
            f"{share:.0%} of the test clicks on cold {side}s are of {side}s without any content"
            if side == "item"
            else f"{share:.0%} of the test clicks of cold users are of users without any content",
            f"give {side}s content that is known from the first moment on, or leave them out of "
            f"the cold share (split.cold_{side}s)",
            {"share": round(share, 4), "clicks": len(entity)},
        )
