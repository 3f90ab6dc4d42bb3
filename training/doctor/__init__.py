"""What is unsound in a config and its data. To add a check: write its file, then add its line."""

from training.doctor import (
    ceiling,
    cold_without_content,
    coverage,
    future,
    ids_in_content,
    own_label,
    rows,
)
from training.doctor.base import SEVERITIES, Check, Finding, Patient

CHECKS: dict[str, Check] = {
    "ids_in_content": ids_in_content.look,
    "future": future.look,
    "own_label": own_label.look,
    "cold_without_content": cold_without_content.look,
    "rows": rows.look,
    "coverage": coverage.look,
    "ceiling": ceiling.look,
}


__all__ = ["CHECKS", "SEVERITIES", "Check", "Finding", "Patient", "examine"]


def examine(patient: Patient) -> dict[str, list[Finding]]:
    """Return what each check found, by its name."""
    return {name: list(look(patient)) for name, look in CHECKS.items()}
