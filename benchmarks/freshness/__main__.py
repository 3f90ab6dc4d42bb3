"""How soon is what is posted to one replica recalled on another?

Run: python -m benchmarks.freshness [--items 100000] [--rounds 3] [--work DIR] [--json FILE]
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np

from benchmarks.figures import report
from benchmarks.freshness.rounds import REPLICAS, Options, Round, run
from benchmarks.targets import Target, ratios

P50_MS, P99_MS, POST_P99_MS = 10.0, 50.0, 20.0
Load = Literal["idle", "half"]
LOADS: dict[Load, str] = {"idle": "idle", "half": "at half load"}


def _recalled(load: Load, at: float, limit_ms: float) -> Callable[[Round], float]:
    return lambda found: float(np.quantile(getattr(found, load).recalled_ms, at)) / limit_ms


def _posted(load: Load) -> Callable[[Round], float]:
    return lambda found: float(np.quantile(getattr(found, load).posted_ms, 0.99)) / POST_P99_MS


def _beside(name: str) -> Callable[[Round], float]:
    return lambda found: found.beside[name].p99_ms / found.before[name].p99_ms


def targets(rate: float = Options().rate) -> tuple[Target[Round], ...]:
    """Return the targets, of so many posts a second."""
    stream = f"{rate:g} posts/s"
    probes = (
        target
        for load, words in LOADS.items()
        for target in (
            Target(f"post to recalled, {words}: p50 over 10 ms", _recalled(load, 0.5, P50_MS), 1.0),
            Target(
                f"post to recalled, {words}: p99 over 50 ms", _recalled(load, 0.99, P99_MS), 1.0
            ),
            Target(f"post, {words}: p99 over 20 ms", _posted(load), 1.0),
        )
    )
    return (
        *probes,
        Target(f"{stream}: done over asked", lambda r: r.posts.per_s / rate, 0.95, is_least=True),
        Target(f"{stream}: p99 of a post over 20 ms", lambda r: r.posts.p99_ms / POST_P99_MS, 1.0),
        *(
            Target(f"{stream}: p99 of recalls with them over without, replica {name}", of, 2.0)
            for name in REPLICAS
            for of in (_beside(name),)
        ),
    )


def told(options: Options, rounds: Sequence[Round]) -> dict[str, Any]:
    """Return the ratios, and the median of each figure."""
    probes = {
        words: {
            kind: _quantiles([getattr(getattr(one, load), kind) for one in rounds])
            for kind in ("posted_ms", "recalled_ms")
        }
        for load, words in LOADS.items()
    }
    return {
        "ratios": ratios(targets(options.rate), rounds),
        "probes": probes,
        "relay, two processes and Redis alone (ms)": _quantiles([one.relay_ms for one in rounds]),
        "posts/s": _middle([one.posts.per_s for one in rounds]),
        "p99 of a post (ms)": _middle([one.posts.p99_ms for one in rounds]),
        "p99 of recalls (ms)": {
            name: {
                "without posts": _middle([one.before[name].p99_ms for one in rounds]),
                "with posts": _middle([one.beside[name].p99_ms for one in rounds]),
            }
            for name in REPLICAS
        },
        "recalls/s of one replica, c=32": _middle([one.capacity.per_s for one in rounds]),
        "the other replica knows them after (s)": _middle([one.behind_s for one in rounds]),
    }


def _quantiles(rounds: Sequence[Sequence[float]]) -> dict[str, float]:
    at = {"p50": 0.5, "p99": 0.99, "longest": 1.0}
    return {name: _middle([float(np.quantile(one, q)) for one in rounds]) for name, q in at.items()}


def _middle(figures: Sequence[float]) -> float:
    return round(median(figures), 3)


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Go through the rounds.

    Raises:
        Failed: Something was answered otherwise than with 200, or never recalled.

    """
    options = Options(
        items=asked.items, rounds=asked.rounds, probes=asked.probes, seconds=asked.seconds
    )
    with tempfile.TemporaryDirectory() as folder:
        return told(options, run(asked.work or Path(folder), options))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    default = Options()
    for name in ("items", "rounds", "probes"):
        parser.add_argument(f"--{name}", type=int, default=getattr(default, name))
    parser.add_argument("--seconds", type=float, default=default.seconds)
    parser.add_argument("--work", type=Path, help="keeps the bundle there")
    report("freshness", parser, measure)


if __name__ == "__main__":
    main()
