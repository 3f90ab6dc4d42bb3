"""What does taking in a new item cost, and what does it cost the searches beside it?

Ways to keep a catalogue searchable while it grows, each beside the way that rebuilds it all: CPU
microseconds for a new item, the longest wait of an event loop meanwhile, and the CPU of one search.

Run: python -m benchmarks.compaction [--items 100000] [--new 20000] [--step 10000] [--dim 64]
     [--k 100] [--json FILE]
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.figures import report
from export.index.base import VectorIndex, Vectors
from export.index.clustered import clustered_vectors, queries_near
from export.index.exact import ExactConfig
from export.index.hnsw import HnswConfig, HnswIndex
from export.index.tune import ef_for, tune
from export.index.twins import Twins

TARGET, QUERIES, BEAT_S = 0.99, 200, 0.001


def cost_us(work: Callable[[], object], items: int) -> float:
    """Return the microseconds of CPU, of all threads, that a piece of work takes for an item."""
    begun_s = time.process_time()
    work()
    return 1e6 * (time.process_time() - begun_s) / items


def search_us(parts: list[VectorIndex], queries: Vectors, k: int) -> float:
    """Return the microseconds of CPU of one query over all parts, the best of three rounds."""
    rounds = []
    for _ in range(3):
        begun_s = time.thread_time()
        for row in range(len(queries)):
            for part in parts:
                part.search(queries[row : row + 1], k)
        rounds.append(1e6 * (time.thread_time() - begun_s) / len(queries))
    return min(rounds)


def worst_wait_ms(work: Callable[[], object]) -> float:
    """Return the longest wait of an event loop that wakes each millisecond beside a thread."""

    async def beat() -> float:
        worst_s, running = 0.0, asyncio.create_task(asyncio.to_thread(work))
        while not running.done():
            begun_s = time.perf_counter()
            await asyncio.sleep(BEAT_S)
            worst_s = max(worst_s, time.perf_counter() - begun_s - BEAT_S)
        await running
        return worst_s

    return 1000 * asyncio.run(beat())


def in_steps(new: Vectors, step: int, take: Callable[[Vectors], object]) -> None:
    """Hand new vectors over step by step."""
    for start in range(0, len(new), step):
        take(new[start : start + step])


def rewritten(config: HnswConfig, new: Vectors, step: int) -> None:
    """Build the graph of all that is new again at each step."""
    for end in range(step, len(new) + 1, step):
        config.build(new[:end], threads=1)


def segmented(config: HnswConfig, new: Vectors, step: int) -> None:
    """Build a segment of each step, and one of all where the last step has come."""
    in_steps(new[:-step], step, partial(config.build, threads=1))
    config.build(new, threads=1)


def twinned(config: HnswConfig, new: Vectors, step: int) -> Twins:
    """Let twins grow by each step."""
    twins = Twins(config, new.shape[1], len(new))
    in_steps(new, step, twins.grow)
    return twins


def added(
    config: HnswConfig, file: Path, sha256: str, old: Vectors, new: Vectors, k: int
) -> HnswIndex:
    """Open a graph from its file and add what is new, as a process that serves nobody does."""
    index = config.load(file, sha256=sha256, vectors=old)
    assert isinstance(index, HnswIndex)
    return index.with_more(new, threads=1)


def rested(config: HnswConfig, new: Vectors, share: float) -> None:
    """Let twins grow, and leave the core to others between slices."""
    rest = partial(_rest, 1 / share - 1)
    Twins(config, new.shape[1], len(new)).grow(new, rest)


def _rest(times: float, took_s: float) -> None:
    time.sleep(times * took_s)


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Take in the same items each way."""
    items, step, k = asked.items, asked.step, asked.k
    vectors = clustered_vectors(items + asked.new, asked.dim, seed=7)
    old, new = vectors[:items], vectors[items:]
    queries = queries_near(vectors, QUERIES, seed=99)
    tuned = tune(old, k=k, target=TARGET)
    config, main = tuned.config, tuned.index
    assert isinstance(config, HnswConfig)
    exact = ExactConfig().build(new[:step])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "graph"
        sha256 = main.save(file)
        add = partial(added, config, file, sha256, old, new, k)
        costs = {
            "rebuilt": cost_us(lambda: tune(vectors, k=k, target=TARGET, threads=1), len(new)),
            "added in a loader": cost_us(add, len(new)),
            "twins": cost_us(lambda: twinned(config, new, step), len(new)),
            "recent rewritten": cost_us(lambda: rewritten(config, new, step), len(new)),
            "recent segments": cost_us(lambda: segmented(config, new, step), len(new)),
        }
        waits = {
            "nothing": worst_wait_ms(lambda: time.sleep(1.0)),
            "twins, half a core": worst_wait_ms(lambda: rested(config, new[:step], 0.5)),
            "twins, a whole core": worst_wait_ms(lambda: rested(config, new[:step], 1.0)),
            "load": worst_wait_ms(lambda: config.load(file, sha256=sha256, vectors=old)),
        }
        grown = add()
    recent = twinned(config, new, step).read()
    segments = [config.build(new[at : at + step], threads=1) for at in range(0, len(new), step)]
    half = ExactConfig().build(new[: step // 2])
    searches = {
        "main": search_us([main], queries, k),
        "main, delta of a step": search_us([main, exact], queries, k),
        "main, delta of all": search_us([main, ExactConfig().build(new)], queries, k),
        "main, recent, delta of half a step": search_us([main, recent, half], queries, k),
        "main, segments, delta of half a step": search_us([main, *segments, half], queries, k),
        "main, all added": search_us([grown], queries, k),
    }
    ef, recall = ef_for(grown, vectors, k=k, target=TARGET)
    return {
        "cpu_us_per_new_item": costs,
        "worst_wait_ms": waits,
        "search_cpu_us": searches,
        "added": {"ef_before": config.ef, "ef": ef, "recall": recall},
        "ratios": {f"rebuilt / {way}": costs["rebuilt"] / costs[way] for way in list(costs)[1:]},
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--new", type=int, default=20_000)
    parser.add_argument("--step", type=int, default=10_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--k", type=int, default=100)
    report("compaction", parser, measure)


if __name__ == "__main__":
    main()
