"""How well, and how fast, is a catalogue searched? HNSW as the tuner sets it, against exact search.

Run: python -m benchmarks.index [--items 100000] [--dim 64] [--k 100] [--json FILE]
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

from benchmarks.machine import machine
from export.index.base import VectorIndex, Vectors
from export.index.clustered import clustered_vectors, queries_near
from export.index.exact import ExactConfig
from export.index.tune import recall_at_k, tune

ROUNDS, QUERIES = 5, 200


def query_s(index: VectorIndex, queries: Vectors, k: int) -> float:
    """Return the seconds of one query, asked one at a time: the mean over all of them."""
    begun_s = time.perf_counter()
    for row in range(len(queries)):
        index.search(queries[row : row + 1], k)
    return (time.perf_counter() - begun_s) / len(queries)


def measure(items: int, dim: int, k: int) -> dict[str, object]:
    """Build both, check recall on fresh queries, and time them in turn."""
    vectors = clustered_vectors(items, dim, seed=7)
    begun_s = time.perf_counter()
    tuned = tune(vectors, k=k, target=0.99)
    tune_s = time.perf_counter() - begun_s
    exact = ExactConfig().build(vectors)
    queries = queries_near(vectors, QUERIES, seed=99)
    recall = recall_at_k(tuned.index.search(queries, k)[1], exact.search(queries, k)[1])
    rounds = [(query_s(tuned.index, queries, k), query_s(exact, queries, k)) for _ in range(ROUNDS)]
    hnsw_s, exact_s = (statistics.median(column) for column in zip(*rounds, strict=True))
    return {
        "name": "index",
        "machine": machine(),
        "parameters": {"items": items, "dim": dim, "k": k, "queries": QUERIES, "rounds": ROUNDS},
        "figures": {
            "settings": tuned.config.model_dump(),
            "recall_on_fresh_queries": recall,
            "recall_measured_by_the_tuner": tuned.measured_recall,
            "tune_and_build_s": tune_s,
            "query_us": 1e6 * hnsw_s,
            "exact_query_us": 1e6 * exact_s,
        },
        "ratios": {"exact_over_hnsw": exact_s / hnsw_s},
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    text = json.dumps(measure(asked.items, asked.dim, asked.k), indent=1)
    if asked.json:
        asked.json.write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
