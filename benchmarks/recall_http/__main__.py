"""What does one recall cost through the real server, beside its bare parts and its rivals?

Run: python -m benchmarks.recall_http [--items 100000] [--seconds 3] [--rounds 3] [--work DIR]
    [--json FILE]
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.figures import report
from benchmarks.recall_http.ratios import medians, ratios
from benchmarks.recall_http.rounds import Options, run


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Go through the rounds; ratios stand first, for the rest is of this machine alone.

    Raises:
        Failed: Something was answered otherwise than with 200, or with other items.

    """
    options = Options(items=asked.items, seconds=asked.seconds, rounds=asked.rounds)
    with tempfile.TemporaryDirectory() as folder:
        world, rounds = run(asked.work or Path(folder), options)
    each = [one.model_dump() for one in rounds]
    return {"ratios": ratios(rounds), "world": world, **medians(rounds), "rounds": each}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    default = Options()
    parser.add_argument("--items", type=int, default=default.items)
    parser.add_argument("--seconds", type=float, default=default.seconds)
    parser.add_argument("--rounds", type=int, default=default.rounds)
    parser.add_argument("--work", type=Path, help="keeps the bundle there")
    report("recall_http", parser, measure)


if __name__ == "__main__":
    main()
