"""The index that compares every query with every vector: recall 1 by definition."""

from pathlib import Path
from typing import Literal

import numpy as np

from export.contract.errors import BundleError
from export.index.base import (
    IndexSettings,
    Labels,
    Scores,
    VectorError,
    VectorIndex,
    Vectors,
    check_vectors,
    kept,
)

SCORES_AT_ONCE = 1 << 24  # 64 MiB of float32, whatever the number of queries and vectors


class ExactConfig(IndexSettings):
    """Exact search; there is nothing to set."""

    kind: Literal["exact"] = "exact"

    def _build(self, vectors: Vectors, threads: int) -> VectorIndex:
        return ExactIndex(kept(vectors))

    def _read(self, path: Path, vectors: Vectors) -> VectorIndex:
        try:
            # Mapped, so that processes that open one file share its memory.
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
            check_vectors(mapped, None, "vector")
        except (ValueError, EOFError, VectorError) as error:
            raise BundleError(f"index file {path}: {error}") from error
        if mapped.shape != vectors.shape:
            got, expected = list(mapped.shape), list(vectors.shape)
            raise BundleError(f"index file {path}: holds {got} values, expected {expected}")
        return ExactIndex(mapped)


class ExactIndex(VectorIndex):
    """All vectors in one array, read and never written."""

    def __init__(self, vectors: Vectors) -> None:
        super().__init__(dim=vectors.shape[1], count=len(vectors))
        self._vectors = vectors

    def _nearest(self, queries: Vectors, k: int) -> tuple[Labels, Scores]:
        return nearest(self._vectors, queries, k)

    def _write(self, part: Path) -> None:
        with part.open("wb") as file:
            np.save(file, self._vectors, allow_pickle=False)


def nearest(vectors: Vectors, queries: Vectors, k: int) -> tuple[Labels, Scores]:
    """Find the k best rows of `vectors` [n, dim] for each query [b, dim], where 1 <= k <= n.

    Labels and scores [b, k], best first; equal scores go by label, at the cut too. Memory is that
    of `SCORES_AT_ONCE`, or of one query's scores where n alone exceeds it.
    """
    labels = np.empty((len(queries), k), np.int64)
    scores = np.empty((len(queries), k), np.float32)
    step = max(1, SCORES_AT_ONCE // len(vectors))
    for start in range(0, len(queries), step):
        for row, of_all in enumerate(queries[start : start + step] @ vectors.T, start):
            labels[row] = _best(of_all, k)
            scores[row] = of_all[labels[row]]
    return labels, scores


def _best(scores: Scores, k: int) -> Labels:
    """Labels of the k highest of scores [n], best first, the lower label first among equals."""
    cut = np.partition(scores, len(scores) - k)[len(scores) - k]
    among = np.flatnonzero(scores >= cut)  # ascending, so a stable sort keeps labels in order
    return among[np.argsort(-scores[among], kind="stable")[:k]]
