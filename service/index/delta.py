"""The delta: arrivals that no graph has taken in yet, searched exactly."""

import numpy as np

from export.embedder import Vectors
from service.index.arrivals import FIRST_ROOM, Arrivals
from service.index.top import Rows, Scores, top

SCORES_AT_ONCE = 1 << 22
"""Scores held at a time, 16 MiB, whatever the number of queries and rows."""


class Delta(Arrivals):
    """Arrivals that are compared one by one."""

    def rest(self, first: int = 0) -> "Delta":
        """Return the live rows from `first` on, in a delta of their own; for the writer."""
        rows = self.live_rows(first)
        rest = Delta(self._vectors.shape[1], max(len(rows), FIRST_ROOM))
        rest.extend([self.ids[row] for row in rows.tolist()], self._vectors[rows])
        return rest

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
