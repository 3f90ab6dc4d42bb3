"""What the doctor says: lines to read, and one JSON document."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.doctor.base import SEVERITIES, Finding

Found = dict[str, list[Finding]]


def lines(found: Found) -> Iterator[str]:
    """Give the findings, the worst first, each with its remedy, and a last line that counts."""
    for severity in SEVERITIES:
        for one in (one for group in found.values() for one in group if one.severity == severity):
            yield f"{severity}: {one.where}: {one.what}"
            yield f"  {one.remedy}"
    counts = _counts(found)
    yield "; ".join(f"{counts[severity]} {severity}" for severity in SEVERITIES)


def document(config: Path, found: Found) -> dict[str, Any]:
    """Return the findings as a document."""
    findings = [{"check": name, **asdict(one)} for name, group in found.items() for one in group]
    return {"config": str(config), "counts": _counts(found), "findings": findings}


def is_serious(found: Found) -> bool:
    """Say whether any finding is serious."""
    return _counts(found)["serious"] > 0


def _counts(found: Found) -> dict[str, int]:
    severities = [one.severity for group in found.values() for one in group]
    return {severity: severities.count(severity) for severity in SEVERITIES}
