"""How fast and how small is each way to find the nearest items, at the same recall?

Run: python -m benchmarks.index [--items 100000] [--dim 64] [--k 100] [--json FILE]
"""

import argparse
import sys
import time
from bisect import bisect_left
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from benchmarks.figures import report
from benchmarks.index.memory import held
from benchmarks.index.rivals import Rival, rivals
from benchmarks.targets import Target, ratios
from export.index.base import Scores, VectorIndex, Vectors
from export.index.clustered import clustered_vectors, queries_near
from export.index.exact import ExactConfig
from export.index.tune import TUNED, TunedKind, recall_at_k, tune

TARGETS = (0.95, 0.98, 0.99)
FIRST = "hnsw"
"""What the others are divided by: the index that a bundle has unless told otherwise."""
MOST = 1.05
GRAPHS = ("faiss hnsw", "faiss hnsw-sq8", "usearch", "usearch i8", "voyager")

Setting = tuple[str, float]  # a rival, and the recall that it is set to


def cpu_s(work: Callable[[], object]) -> float:
    """Return the CPU seconds of all threads of this process that something takes."""
    begun_s = time.process_time()
    work()
    return time.process_time() - begun_s


class Exam:
    """Queries whose true nearest are known."""

    def __init__(self, vectors: Vectors, queries: Vectors, k: int) -> None:
        self._vectors, self._queries, self._k = vectors, queries, k
        self._truth: Scores = ExactConfig().build(vectors).search(queries, k)[1]

    def recall(self, rival: Rival) -> float:
        """Return the recall@k of a rival, whose scores are not believed."""
        found = np.full_like(self._truth, -1)
        for row, query in enumerate(self._queries):
            labels = rival.search(query[None], self._k)[0]
            found[row, : len(labels)] = self._vectors[labels] @ query
        return recall_at_k(found, self._truth)

    def recall_of(self, index: VectorIndex) -> float:
        """Return the recall@k of an index of ours."""
        return recall_at_k(index.search(self._queries, self._k)[1], self._truth)

    def cheapest(self, rival: Rival, target: float) -> tuple[int, float] | None:
        """Return the least setting that reaches a recall, and what it reaches; None: none does."""
        seen: dict[int, float] = {}

        def measured(setting: int) -> float:
            rival.set(setting)
            seen[setting] = self.recall(rival)
            return seen[setting]

        at = bisect_left(rival.settings, target, key=measured)
        if at == len(rival.settings):
            return None
        setting = rival.settings[at]
        return setting, seen.get(setting) or measured(setting)


def timed_us(rival: Rival, queries: Vectors, k: int) -> tuple[float, float]:
    """Return CPU and wall microseconds of one query, asked one at a time."""
    begun_s = time.perf_counter()
    cpu = cpu_s(lambda: [rival.search(query[None], k) for query in queries])
    wall = time.perf_counter() - begun_s
    return 1e6 * cpu / len(queries), 1e6 * wall / len(queries)


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Build each once, set it to each recall, and time all of them in turn, round after round."""
    vectors = clustered_vectors(asked.items, asked.dim, spread=asked.spread, seed=7)
    queries = queries_near(vectors, asked.queries, seed=99)
    exam, all_of_them = Exam(vectors, queries, asked.k), rivals(asked.items, asked.k)
    built, chosen = {}, {}
    for name, rival in all_of_them.items():
        seconds = cpu_s(lambda rival=rival: rival.build(vectors))  # type: ignore[misc]
        built[name] = {"build_cpu_s": seconds, "bytes_a_vector": rival.size_bytes() / asked.items}
        for target in TARGETS:
            if (found := exam.cheapest(rival, target)) is not None:
                chosen[name, target] = found
        print(name, built[name], file=sys.stderr)  # noqa: T201 a long run says where it is
    rounds = [in_turn(all_of_them, chosen, queries, asked.k) for _ in range(asked.rounds)]
    return {
        "ratios": [over_best(target, chosen, rounds) for target in TARGETS],
        "rivals": {
            name: {**built[name], "at": {str(t): told(name, t, chosen, rounds) for t in TARGETS}}
            for name in all_of_them
        },
        "as tuned": {kind: as_tuned(kind, vectors, queries, exam, asked.k) for kind in TUNED},
    }


def in_turn(
    all_of_them: dict[str, Rival],
    chosen: dict[Setting, tuple[int, float]],
    queries: Vectors,
    k: int,
) -> dict[Setting, tuple[float, float]]:
    """Return CPU and wall time of a query for each rival at each recall, all in one round."""
    found = {}
    for (name, target), (setting, _) in chosen.items():
        all_of_them[name].set(setting)
        found[name, target] = timed_us(all_of_them[name], queries, k)
    return found


def told(
    name: str,
    target: float,
    chosen: dict[Setting, tuple[int, float]],
    rounds: list[dict[Setting, tuple[float, float]]],
) -> dict[str, float] | None:
    """Return medians over the rounds; the ratio is taken within each."""
    if (name, target) not in chosen:
        return None
    setting, recall = chosen[name, target]
    cpu, wall = zip(*(one[name, target] for one in rounds), strict=True)
    ratios = [one[name, target][0] / one[FIRST, target][0] for one in rounds]
    return {
        "setting": setting,
        "recall": recall,
        "queries_per_s": 1e6 / median(wall),
        "cpu_us": median(cpu),
        "cpu_over_hnsw": median(ratios),
        "least": min(ratios),
        "most": max(ratios),
    }


def over_best(
    target: float,
    chosen: dict[Setting, tuple[int, float]],
    rounds: list[dict[Setting, tuple[float, float]]],
) -> dict[str, object]:
    """Return the CPU of the first over that of the best graph of another library."""
    of = {
        name: [one[FIRST, target][0] / one[name, target][0] for one in rounds]
        for name in GRAPHS
        if (name, target) in chosen
    }
    best = max(of, key=lambda name: median(of[name]))
    name = f"CPU of a query of {FIRST} over the best other graph, recall {target:g} ({best})"
    [row] = ratios([Target[float](name, float, MOST)], of[best])
    return row


def as_tuned(
    kind: TunedKind, vectors: Vectors, queries: Vectors, exam: Exam, k: int
) -> dict[str, object]:
    """Return what the tuner chooses for .99, what that takes, and its recall on fresh queries."""
    begun_s = time.process_time()
    tuned = tune(vectors, k=k, target=0.99, kind=kind, threads=1)
    tuning_s = time.process_time() - begun_s
    return {
        "settings": tuned.config.model_dump(),
        "tuning_cpu_s": tuning_s,
        "recall_measured_by_the_tuner": tuned.measured_recall,
        "recall_on_fresh_queries": exam.recall_of(tuned.index),
        "search_cpu_us": cpu_us(tuned.index, queries, k),
        "memory_bytes_a_vector": held(tuned.index, tuned.config, vectors, queries),
    }


def cpu_us(index: VectorIndex, queries: Vectors, k: int) -> float:
    """Return the CPU microseconds of one query, asked one at a time."""
    return 1e6 * cpu_s(lambda: [index.search(one[None], k) for one in queries]) / len(queries)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--spread", type=float, default=0.6)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    report("index", parser, measure)


if __name__ == "__main__":
    main()
