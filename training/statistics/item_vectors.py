"""`item_vectors` and `user_vectors` of many rows at once: vectors of the newest, added up."""

import numpy as np
from numpy.typing import NDArray

from training.ragged import offsets
from training.statistics.histories import EVENTS_PER_CHUNK, Newest

Vectors = NDArray[np.float32]


def means(events: Newest, vectors: Vectors) -> Vectors:
    """Return the mean vector of each query's events, [q, size]; NaN where none has a vector.

    `vectors` [items or users, size] is NaN for those without one. Events are added one by one, the
    oldest first, which is the order of the fold, to the last bit.
    """
    size = vectors.shape[1]
    chunks = events.chunks(max(EVENTS_PER_CHUNK // size, 1))
    parts = [_means(lengths, seen, vectors) for lengths, seen in chunks]
    return np.concatenate(parts) if parts else np.zeros((0, size), dtype=np.float32)


def _means(lengths: NDArray[np.int64], items: NDArray[np.int32], vectors: Vectors) -> Vectors:
    has_one = ~np.isnan(vectors[:, 0])[items]
    start = offsets(has_one)[offsets(lengths)]  # places among the events that have a vector
    items, count = items[has_one], np.diff(start)
    total = np.zeros((len(lengths), vectors.shape[1]))
    for place in range(int(count.max(initial=0))):
        at = np.flatnonzero(count > place)
        total[at] += vectors[items[start[at] + place]]
    with np.errstate(invalid="ignore"):
        return (total / count[:, None]).astype(np.float32)
