"""Every call of the description with every status that it may have, and who has reached it."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from service.http.openapi import document

ROOT = Path(__file__).parents[2]
CONTRACT = "tests/service/test_contract.py"
"""Reaches by a situation each what no request reaches by itself: overload, a store that is away."""


def documented() -> list[str]:
    """Return calls with their statuses, as `GET /recall 200`."""
    return [
        f"{method.upper()} {path} {status}"
        for path, calls in document()["paths"].items()
        for method, call in calls.items()
        for status in sorted(call["responses"])
    ]


def reached_by_contract(folder: Path) -> dict[str, int]:
    """Run the tests of the contract; return how often they reached each.

    Raises:
        AssertionError: One of them failed.

    """
    report = folder / "contract.xml"
    words = ["-n", "2", f"--junitxml={report}", CONTRACT]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-4000:]
    counts: dict[str, int] = {}
    for one in ElementTree.parse(report).iter("property"):
        if one.get("name") == "reached":
            counts[one.attrib["value"]] = counts.get(one.attrib["value"], 0) + 1
    return counts


def listed(by: Mapping[str, Mapping[str, int]]) -> tuple[list[str], list[str]]:
    """Return the list, a line for each, and those that nobody has reached.

    by: how often each was reached, by who did.
    """
    lines, missing = [], []
    for one in documented():
        told = [f"{who} {counts[one]}" for who, counts in by.items() if counts.get(one)]
        lines.append(f"{one:<45} {', '.join(told) or 'NOBODY'}")
        if not told:
            missing.append(one)
    return lines, missing
