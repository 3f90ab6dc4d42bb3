"""Does a request notice that the version it is answered by is replaced, and is each answer of one?

Run: python -m benchmarks.rollout [--items 100000] [--rollouts 10] [--work DIR] [--json FILE]
"""

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.figures import report
from benchmarks.options import add_options, chosen
from benchmarks.rollout.scenario import Options, run

OPTIONS = ("items", "dim", "rollouts", "workers", "bases", "share", "writes", "pause_s", "most_s")


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Roll out, and return the figures; what broke a promise stands first."""
    options = chosen(asked, Options)
    if asked.work is None:
        with tempfile.TemporaryDirectory() as folder:
            result = run(Path(folder), options)
    else:
        for one in ("data", "bundles"):
            shutil.rmtree(asked.work / one, ignore_errors=True)
        result = run(asked.work, options)
    return {"failures": result.failures, **result.figures}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_options(parser, Options(), *OPTIONS)
    parser.add_argument("--rate", type=float, help="recalls a second, in place of the share")
    parser.add_argument("--work", type=Path, help="keeps bundles and notes there")
    report("rollout", parser, measure)


if __name__ == "__main__":
    main()
