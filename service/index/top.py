"""The top of many scores."""

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Scores = NDArray[np.float32]
Hits = tuple[Rows, Scores]
"""Rows that were found, and their scores."""


def top(scores: Scores, k: int) -> Hits:
    """Return the rows and values of the k highest of scores [n], best first; 0 <= k <= n.

    Equal scores go by row, at the cut too.
    """
    if k <= 0:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    cut = np.partition(scores, len(scores) - k)[len(scores) - k]
    among = np.flatnonzero(scores >= cut)  # ascending, so a stable sort keeps rows in order
    rows = among[np.argsort(-scores[among], kind="stable")[:k]]
    return rows, scores[rows]
