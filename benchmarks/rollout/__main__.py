"""Does a request notice that the version it is answered by is replaced, and is each answer of one?

Run: python -m benchmarks.rollout [--items 100000] [--rollouts 10] [--work DIR] [--json FILE]
"""

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.figures import report
from benchmarks.rollout.scenario import Options, run


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Roll out, and return the figures; what broke a promise stands first."""
    chosen = {name: getattr(asked, name) for name in Options.model_fields if hasattr(asked, name)}
    options = Options.model_validate(chosen)
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
    default = Options()
    for name in ("items", "dim", "rollouts", "workers", "bases"):
        parser.add_argument(f"--{name}", type=int, default=getattr(default, name))
    for name in ("share", "writes", "pause_s", "most_s"):
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=float, default=getattr(default, name))
    parser.add_argument("--rate", type=float, help="recalls a second, in place of the share")
    parser.add_argument("--work", type=Path, help="keeps bundles and notes there")
    report("rollout", parser, measure)


if __name__ == "__main__":
    main()
