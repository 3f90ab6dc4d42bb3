"""How does what a service takes grow with its catalogue, and training with its log?

Run: python -m benchmarks.scale [--sizes 10000 30000 100000] [--rows 100000 ...] [--work DIR]
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from benchmarks.figures import report
from benchmarks.scale.law import Kind, Law
from benchmarks.scale.rows import Learned, learned
from benchmarks.scale.sizes import KINDS, Options, Size, measured

GB = 1e9
COMPUTED = (10_000_000, 100_000_000, 1_000_000_000)
ROWS = (100_000, 300_000, 1_000_000)

Measured = TypeVar("Measured")


class Figure(NamedTuple, Generic[Measured]):
    """A figure of a size, and how it grows; None: it is no more than told."""

    name: str
    of: Callable[[Measured], float]
    kind: Kind | None


def of_a_catalogue() -> tuple[Figure[Size], ...]:
    """Return what is told of each number of items."""
    per_index = (
        figure
        for kind in KINDS
        for figure in (
            _of(kind, "build, one thread (CPU s)", "build_cpu_s", "power"),
            _of(kind, "start (CPU s)", "start_cpu_s", "line"),
            _of(kind, "memory, one worker (GB)", "memory_bytes", "line", GB),
            _of(kind, "search (us of CPU)", "search_us", "power"),
            _of(kind, "recall, median (ms)", "recall_ms", None),
            _of(kind, "post to recalled, median (ms)", "fresh_ms", None),
        )
    )
    words = "a vocabulary of as many words, in each worker (GB)"
    return (*per_index, Figure(words, lambda size: size.vocabulary_bytes / GB, "line"))


def of_a_log() -> tuple[Figure[Learned], ...]:
    """Return what is told of each number of rows."""
    return (
        Figure("training: encoding, all cores (s)", lambda log: log.encoded_s, "line"),
        Figure("training: an epoch, one thread (CPU s)", lambda log: log.epoch_s, "line"),
        Figure("training: memory in no file (GB)", lambda log: log.memory_bytes / GB, "line"),
    )


def _of(index: str, name: str, field: str, kind: Kind | None, unit: float = 1.0) -> Figure[Size]:
    def of(size: Size) -> float:
        found: float = getattr(size.taken[index], field)
        return found / unit

    return Figure(f"{index}: {name}", of, kind)


def grown(
    of: str, of_each: tuple[Figure[Measured], ...], sizes: Mapping[int, Measured]
) -> dict[str, Any]:
    """Return the law of each figure, and what is measured and computed of each size."""
    laws = {
        one.name: Law.fitted(one.kind, {n: one.of(size) for n, size in sizes.items()})
        for one in of_each
        if one.kind is not None
    }
    told = [
        {"n": n, "is": "measured"} | {one.name: _short(one.of(size)) for one in of_each}
        for n, size in sizes.items()
    ]
    told += [
        {"n": n, "is": "computed"} | {name: _short(law.at(n)) for name, law in laws.items()}
        for n in COMPUTED
    ]
    return {"of": of, "laws": {name: law.told for name, law in laws.items()}, "sizes": told}


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Measure each size in turn."""
    options = Options(sizes=tuple(sorted(set(asked.sizes))), seconds=asked.seconds)
    with tempfile.TemporaryDirectory() as folder:
        work = asked.work or Path(folder)
        catalogues = {items: measured(work, items, options) for items in options.sizes}
        logs = {rows: learned(work, rows) for rows in sorted(set(asked.rows))}
    return {
        "ratios": [],
        "growth": [
            grown("items", of_a_catalogue(), catalogues),
            grown("rows", of_a_log(), logs),
        ],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    default = Options()
    parser.add_argument("--sizes", type=int, nargs="+", default=default.sizes)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--seconds", type=float, default=default.seconds)
    parser.add_argument("--work", type=Path, help="keeps bundles and logs there")
    report("scale", parser, measure)


if __name__ == "__main__":
    main()
