"""How soon is a service ready, beside what it cannot do without, and does its loop stall then?

Run: python -m benchmarks.startup [--items 100000] [--rounds 3] [--work DIR] [--json FILE]
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.figures import report
from benchmarks.startup.rounds import Bare, Options, Round, run
from benchmarks.targets import Target, ratios

STALL_MS = 50.0

TARGETS = (
    Target[Round](
        "start to ready over imports, load_index and checksums",
        lambda found: found.ready_s / found.bare.all,
        1.5,
    ),
    Target[Round](
        f"longest wait for /livez over {STALL_MS:g} ms, or a longer one for the twin",
        lambda found: found.livez_ms / max(STALL_MS, found.twin_ms),
        1.0,
    ),
)


def told(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return the ratios, and the median of each figure."""
    bare = {
        name: _middle([getattr(one.bare, name) for one in rounds]) for name in Bare.model_fields
    }
    return {
        "ratios": ratios(TARGETS, rounds),
        "start to ready (s)": _middle([one.ready_s for one in rounds]),
        "its CPU (s)": _middle([one.cpu_s for one in rounds]),
        "bare (s)": bare,
        "CPU over that of the bare parts": _middle([one.cpu_s / one.bare.cpu for one in rounds]),
        "longest wait for /livez (ms)": [round(one.livez_ms, 1) for one in rounds],
        "longest wait for the twin (ms)": [round(one.twin_ms, 1) for one in rounds],
    }


def _middle(figures: Sequence[float]) -> float:
    return round(median(figures), 3)


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Go through the rounds."""
    options = Options(items=asked.items, rounds=asked.rounds, seconds=asked.seconds)
    with tempfile.TemporaryDirectory() as folder:
        return told(run(asked.work or Path(folder), options))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    default = Options()
    parser.add_argument("--items", type=int, default=default.items)
    parser.add_argument("--rounds", type=int, default=default.rounds)
    parser.add_argument("--seconds", type=float, default=default.seconds)
    parser.add_argument("--work", type=Path, help="keeps the bundle there")
    report("startup", parser, measure)


if __name__ == "__main__":
    main()
