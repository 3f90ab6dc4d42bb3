"""The recent index: a graph of arrivals, beside the main index and far smaller."""

from dataclasses import dataclass

import numpy as np

from export.embedder import Vectors
from export.index.base import VectorIndex
from service.index.arrivals import Arrivals
from service.index.indexed import Indexed
from service.index.top import Hits, Scores


@dataclass(frozen=True, slots=True)
class Recent:
    """Arrivals, and an index of the first of them; more may have come that it knows nothing of."""

    arrivals: Arrivals
    index: VectorIndex

    def __len__(self) -> int:
        """Rows that can be found, the retired ones too."""
        return len(self.index)

    def search(self, queries: Vectors, ks: list[int], floors: Scores, tick: int) -> list[Hits]:
        """Return rows and scores of each query [b, dim], best first, at most its k best of them.

        Of these only what reaches the floor of the query.
        """
        known = slice(len(self))
        vectors, retired = self.arrivals.vectors(known), self.arrivals.retired(known)
        tombstones = len(self.arrivals) - self.arrivals.live
        indexed = Indexed(self.index, vectors, retired, tombstones)
        found = indexed.search(queries, ks, [np.empty(0, np.int64)] * len(queries), tick)
        ends = [int((scores >= floors[at]).sum()) for at, (_, scores) in enumerate(found)]
        return [(rows[:end], scores[:end]) for (rows, scores), end in zip(found, ends, strict=True)]
