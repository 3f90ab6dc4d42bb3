"""What does ranking add to a recall? One user, k candidates and a history, by a bundle's ranker.

Run: python -m benchmarks.ranker BUNDLE [--k 100] [--history 50] [--rounds 300] [--json FILE]
"""

import argparse
import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import report
from export.contract.errors import ConfigError
from export.contract.ranker import Ranker
from export.golden import invented
from export.ranker import open_ranker
from service.generation import Generation
from service.index.found import Found
from service.known_user import KnownUser
from service.ranking import Ranking

USERS = 8


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Rank over and over; milliseconds by the clock and of CPU, of the whole and of its run alone.

    Raises:
        ConfigError: The bundle has no ranker, or fewer than k items.
    """
    generation = Generation.load(asked.bundle)
    bundle = generation.bundle
    if bundle.ranker is None:
        raise ConfigError(f"{asked.bundle}: has no ranker; train with `ranker`, and export")
    if len(bundle.ids) < max(asked.k, asked.history):
        raise ConfigError(f"{asked.bundle}: has {len(bundle.ids)} items, fewer than asked for")
    ranker = open_ranker(bundle.layout, bundle.schema, bundle.ranker.facts)
    times = asyncio.run(_ranked(asked, Ranking(generation, ranker), ranker, generation))
    clock, cpu, alone = (1000 * np.median(column) for column in zip(*times, strict=True))
    return {
        "kind": bundle.ranker.facts.kind,
        "dim": bundle.ranker.facts.dim,
        "p50_ms": clock,
        "p50_cpu_ms": cpu,
        "p50_ms_of_the_run_alone": alone,
    }


async def _ranked(
    asked: argparse.Namespace, ranking: Ranking, ranker: Ranker, generation: Generation
) -> list[tuple[float, float, float]]:
    """Return seconds by the clock, of CPU, and of onnxruntime's run alone, a round each."""
    bundle, rng = generation.bundle, np.random.default_rng(1)
    assert bundle.ranker is not None
    codes, history = bundle.ranker.codes, bundle.ranker.facts.history
    records = [bundle.schema.user.parse(one) for one in invented(bundle.schema, "user", USERS)]
    scores, nobody = np.linspace(1, 0, asked.k, dtype=np.float32), np.zeros(asked.k, np.int64)
    times = []
    for number in range(asked.rounds):
        record = records[number % USERS]
        met, chosen = (
            rng.choice(len(bundle.ids), n, replace=False) for n in (asked.history, asked.k)
        )
        known = {**record, history: [bundle.ids[at] for at in met]}
        user = KnownUser(known, "warm", [], [])
        found = Found.of([bundle.ids[at] for at in chosen], scores, exhausted=False)
        begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
        await ranking.rank([(user, found)])
        clock_s, cpu_s = time.perf_counter() - begun_s, time.process_time() - begun_cpu_s
        begun_s = time.perf_counter()
        ranker.score([record], [True], [codes[met]], codes[chosen], nobody)
        times.append((clock_s, cpu_s, time.perf_counter() - begun_s))
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--history", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=300)
    report("ranker", parser, measure)


if __name__ == "__main__":
    main()
