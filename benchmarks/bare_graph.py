"""A process that has hnswlib, a graph and nothing else; prints its memory as JSON.

`python -m benchmarks.bare_graph FILE DIM EF` opens the graph, and searches it as often as it takes
to have touched all of it that searches touch.
"""

import json
import sys

import hnswlib
import numpy as np

from benchmarks.resident import memory_of

SEARCHES, K = 2000, 100


def main(file: str, dim: int, ef: int) -> None:
    """Open, search, and tell."""
    index = hnswlib.Index(space="ip", dim=dim)
    index.load_index(file)
    index.set_ef(ef)
    queries = np.random.default_rng(1).standard_normal((SEARCHES, dim), dtype=np.float32)
    for query in queries:
        index.knn_query(query[None], k=min(K, index.element_count), num_threads=1)
    sys.stdout.write(json.dumps(memory_of([0])._asdict()))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
