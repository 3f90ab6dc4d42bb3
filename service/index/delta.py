"""The delta: arrivals that no graph has taken in yet, searched exactly."""

import numpy as np

from export.embedder import Vectors
from service.index.arrivals import FIRST_ROOM, Arrivals
from service.index.top import Hits, Scores, top

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
        self, queries: Vectors, ks: list[int], floors: Scores, rows: int, tick: int
    ) -> list[Hits]:
        """Return rows and scores of each query [b, dim], at most its k best of them, in no order.

        Only the first `rows` rows are looked at, less those retired by `tick`, and of these only
        what reaches the floor of the query. Equal scores at the cut go by row.
        """
        vectors, retired = self._vectors[:rows], self._retired[:rows]
        gone = np.flatnonzero((retired != 0) & (retired <= tick))
        live = rows - len(gone)
        step = max(1, SCORES_AT_ONCE // max(rows, 1))
        found = []
        for start in range(0, len(queries), step):
            part = slice(start, start + step)
            scores = queries[part] @ vectors.T
            scores[:, gone] = -np.inf
            each = zip(scores, ks[part], floors[part], strict=True)
            found += [_best(of, min(k, live), floor) for of, k, floor in each]
        return found


def _best(scores: Scores, k: int, floor: np.float32) -> Hits:
    """Return the rows of the k best of scores [n] that reach a floor."""
    (rows,) = (scores >= floor).nonzero()
    return (rows, scores[rows]) if len(rows) <= k else top(scores, k)
