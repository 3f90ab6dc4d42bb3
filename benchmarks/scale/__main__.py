"""How does what a service takes grow with its catalogue, and what would a larger one take?

Run: python -m benchmarks.scale [--sizes 10000 30000 100000] [--work DIR] [--json FILE]
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.figures import report
from benchmarks.scale.law import Kind, Law
from benchmarks.scale.sizes import KINDS, Options, Size, measured

GB = 1e9
COMPUTED = (10_000_000, 100_000_000, 1_000_000_000)


class Figure(NamedTuple):
    """A figure of a size, and how it grows; None: it is no more than told."""

    name: str
    of: Callable[[Size], float]
    kind: Kind | None


def figures() -> tuple[Figure, ...]:
    """Return what is told of each size."""
    per_index = (
        figure
        for kind in KINDS
        for figure in (
            _of(kind, "build, one thread (CPU s)", "build_cpu_s", "power"),
            _of(kind, "start (CPU s)", "start_cpu_s", "line"),
            _of(kind, "memory, one worker (GB)", "memory_bytes", "line", GB),
            _of(kind, "search (us of CPU)", "search_us", "power"),
            _of(kind, "recall, median (ms)", "recall_ms", None),
        )
    )
    words = "a vocabulary of as many words, in each worker (GB)"
    return (*per_index, Figure(words, lambda size: size.vocabulary_bytes / GB, "line"))


def _of(index: str, name: str, field: str, kind: Kind | None, unit: float = 1.0) -> Figure:
    def of(size: Size) -> float:
        found: float = getattr(size.taken[index], field)
        return found / unit

    return Figure(f"{index}: {name}", of, kind)


def told(sizes: Mapping[int, Size]) -> dict[str, Any]:
    """Return the law of each figure, and the table of sizes, measured and computed."""
    of_each = figures()
    laws = {
        one.name: Law.fitted(one.kind, {n: one.of(size) for n, size in sizes.items()})
        for one in of_each
        if one.kind is not None
    }
    table = [
        {"items": n, "is": "measured"} | {one.name: _short(one.of(size)) for one in of_each}
        for n, size in sizes.items()
    ]
    table += [
        {"items": n, "is": "computed"} | {name: _short(law.at(n)) for name, law in laws.items()}
        for n in COMPUTED
    ]
    return {
        "ratios": [],
        "laws, for n items": {name: law.told for name, law in laws.items()},
        "sizing": table,
    }


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Measure each size in turn."""
    options = Options(sizes=tuple(sorted(set(asked.sizes))), seconds=asked.seconds)
    with tempfile.TemporaryDirectory() as folder:
        work = asked.work or Path(folder)
        return told({items: measured(work, items, options) for items in options.sizes})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    default = Options()
    parser.add_argument("--sizes", type=int, nargs="+", default=default.sizes)
    parser.add_argument("--seconds", type=float, default=default.seconds)
    parser.add_argument("--work", type=Path, help="keeps the bundles there")
    report("scale", parser, measure)


if __name__ == "__main__":
    main()
