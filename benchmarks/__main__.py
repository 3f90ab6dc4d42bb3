"""Runs the benchmarks in turn; a folder keeps what each has found.

Run: python -m benchmarks [--quick] [--only NAME ...] [--out runs/bench]
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

OUT = Path("runs/bench")
WORK = "work"
"""The folder, in that of what was found, that keeps bundles from one run to the next."""


class Run(NamedTuple):
    """The words a benchmark is told at its full size, and where minutes count."""

    full: str
    quick: str
    keeps_bundles: bool = True


RUNS = {
    "index": Run("", "--items 5000 --rounds 1 --queries 50", keeps_bundles=False),
    "recall_http": Run("", "--items 10000 --rounds 1 --seconds 0.5"),
    "memory": Run("", "--items 10000 --rounds 1"),
    "startup": Run("", "--items 10000 --rounds 1 --seconds 1"),
    "freshness": Run("", "--items 10000 --rounds 1 --seconds 1.5 --probes 50"),
    "scale": Run("", "--sizes 3000 10000 --rows 30000 100000 --seconds 0.5"),
    "embed_catalogue": Run("", "--items 20000 --rounds 1"),
    "training": Run(
        "", "--users 2000 --items 1000 --rows 20000 --large 40000 --steps 5 --rounds 1"
    ),
}


def command(name: str, out: Path, *, is_quick: bool) -> list[str]:
    """Return the words that run a benchmark, which writes `NAME.json` into a folder."""
    run = RUNS[name]
    words = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(out / f"{name}.json")]
    words += (run.quick if is_quick else run.full).split()
    return words + (["--work", str(out / WORK)] if run.keeps_bundles else [])


def run_all(names: Sequence[str], out: Path, *, is_quick: bool) -> list[str]:
    """Run benchmarks one after the other; return those that failed."""
    out = out.resolve()  # what a benchmark writes there may name it from elsewhere
    out.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in names:
        begun_s = time.monotonic()
        words = command(name, out, is_quick=is_quick)
        if subprocess.run(words, stdout=subprocess.DEVNULL, check=False).returncode:
            failed.append(name)
        said = "failed" if name in failed else "done"
        print(f"{name}: {said} after {time.monotonic() - begun_s:.0f} s", flush=True)  # noqa: T201
    return failed


def main() -> int:
    """Run them; how good a figure is does not matter to the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="small, one round")
    parser.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS), metavar="NAME")
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    return 1 if run_all(asked.only, asked.out, is_quick=asked.quick) else 0


if __name__ == "__main__":
    sys.exit(main())
