"""What a benchmark writes: its figures, with the machine and what was asked, as one document."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import machine

Measure = Callable[[argparse.Namespace], dict[str, Any]]


def report(name: str, parser: argparse.ArgumentParser, measure: Measure) -> None:
    """Read what is asked, measure it, and print the document; `--json FILE` keeps it."""
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    begun = os.getloadavg()[0]
    figures = measure(asked)
    found = {
        "name": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "load before and after": [round(one, 1) for one in (begun, os.getloadavg()[0])],
        "machine": machine(),
        "parameters": {one: str(value) for one, value in vars(asked).items() if one != "json"},
        "figures": figures,
    }
    text = json.dumps(found, indent=1)
    if asked.json:
        asked.json.write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")


def commit() -> str:
    """Name the commit that was measured, `+` behind one with changes; empty outside of git."""
    here = Path(__file__).parent
    words = ["git", "-C", str(here), "describe", "--always", "--exclude=*", "--dirty=+"]
    try:
        said = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return said.stdout.strip()
