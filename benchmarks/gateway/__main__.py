"""Does a request through the gateway fail while replicas end, start and change their version?

Run: python -m benchmarks.gateway [--items 20000] [--seconds 300] [--work DIR] [--json FILE]
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.figures import report
from benchmarks.gateway.held import table
from benchmarks.gateway.scenario import Options, run
from benchmarks.options import add_options, chosen

OPTIONS = (
    "items",
    "dim",
    "users",
    "connections",
    "clients",
    "seed",
    "seconds",
    "share",
    "measured_s",
    "quiet_s",
    "pause_s",
    "down_s",
    "tried_s",
)


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Do it, and return the figures; what broke a promise stands first."""
    options = chosen(asked, Options)
    if asked.work is None:
        with tempfile.TemporaryDirectory() as folder:
            result = run(Path(folder), options)
    else:
        shutil.rmtree(asked.work / "run", ignore_errors=True)
        result = run(asked.work, options)
    sys.stderr.write(table(result.rows) + "\n")
    return {"failures": result.failures, **result.figures}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_options(parser, Options(), *OPTIONS)
    parser.add_argument("--work", type=Path, help="keeps bundles, logs and notes there")
    report("gateway", parser, measure)


if __name__ == "__main__":
    main()
