"""The delta: vectors that came after the main index was built, searched exactly."""

import numpy as np

from export.embedder import Vectors
from service.top import Rows, Scores, top

SCORES_AT_ONCE = 1 << 22
"""Scores held at a time, 16 MiB, whatever the number of queries and rows."""

FIRST_ROOM = 256


class Delta:
    """Rows of id and vector that are only ever appended, and retired at a tick.

    Reading beside one writer is safe: a reader names the rows and the tick that it knows of, and
    what is appended or retired later does not change its answer. A tick is a number that the
    writer counts up with every change.
    """

    def __init__(self, dim: int, room: int = FIRST_ROOM) -> None:
        self.ids: list[str] = []
        self._vectors: Vectors = np.empty((room, dim), dtype=np.float32)
        self._retired: Rows = np.zeros(room, dtype=np.int64)
        self.live = 0

    def __len__(self) -> int:
        """Rows, the retired ones too."""
        return len(self.ids)

    def append(self, one: str, vector: Vectors) -> int:
        """Add a row and return its number; readers see it once they are told of it."""
        row = len(self.ids)
        if row == len(self._vectors):
            self._grow()
        self._vectors[row] = vector
        self.ids.append(one)
        self.live += 1
        return row

    def retire(self, row: int, tick: int) -> None:
        """Take a row out of every search at this tick or later."""
        self._retired[row] = tick
        self.live -= 1

    def vectors(self, rows: int | Rows) -> Vectors:
        """Return the vector of a row, or those [n, dim] of several."""
        vectors: Vectors = self._vectors[rows]
        return vectors

    def live_rows(self) -> Rows:
        """Return the rows that are not retired, oldest first; for the writer."""
        return np.flatnonzero(self._retired[: len(self)] == 0)

    def search(
        self, queries: Vectors, ks: list[int], rows: int, tick: int
    ) -> list[tuple[Rows, Scores]]:
        """Return rows and scores of each query [b, dim], best first, at most its k of them.

        Only the first `rows` rows are looked at, less those retired by `tick`. Equal scores go by
        row, at the cut too.
        """
        if not rows:
            return [(np.empty(0, np.int64), np.empty(0, np.float32))] * len(queries)
        vectors, retired = self._vectors[:rows], self._retired[:rows]
        gone = np.flatnonzero((retired != 0) & (retired <= tick))
        step = max(1, SCORES_AT_ONCE // rows)
        found = []
        for start in range(0, len(queries), step):
            scores = queries[start : start + step] @ vectors.T
            scores[:, gone] = -np.inf
            wanted = ks[start : start + step]
            live = rows - len(gone)
            found += [top(of, min(k, live)) for of, k in zip(scores, wanted, strict=True)]
        return found

    def _grow(self) -> None:
        """Double the room, in new arrays: readers of the old ones are not disturbed.

        A retirement during a read falls into the new array only, and is of a later tick anyway.
        """
        self._vectors = np.concatenate([self._vectors, np.empty_like(self._vectors)])
        self._retired = np.concatenate([self._retired, np.zeros_like(self._retired)])
