"""What a benchmark writes: its figures, with the machine and what was asked, as one document."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.machine import machine

Measure = Callable[[argparse.Namespace], dict[str, Any]]


def report(name: str, parser: argparse.ArgumentParser, measure: Measure) -> None:
    """Read what is asked, measure it, and print the document; `--json FILE` keeps it."""
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found = {
        "name": name,
        "machine": machine(),
        "parameters": {one: str(value) for one, value in vars(asked).items() if one != "json"},
        "figures": measure(asked),
    }
    text = json.dumps(found, indent=1)
    if asked.json:
        asked.json.write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")
