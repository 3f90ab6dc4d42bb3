"""Indexed rows: a search that finds enough live rows, whatever of an index is in the way."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.embedder import Vectors
from export.index.base import VectorIndex
from service.index.top import Hits, Rows, top

GRAPH_MOST = 1024
GRAPH_TIMES = 100
"""To find more than `GRAPH_MOST` rows, and more than one in `GRAPH_TIMES` of all, all are compared:
a graph takes some 2.5 us for a row it finds, comparing 0.025 us for a row there is (dim 64)."""


NOTHING: Hits = (np.empty(0, np.int64), np.empty(0, np.float32))


@dataclass(slots=True)
class Want:
    """What one query still needs: `k` rows, none of `excluded`, to be found among `fetch`."""

    query: int
    k: int
    excluded: Rows
    fetch: int


@dataclass(frozen=True, slots=True)
class Indexed:
    """An index, the vectors [n, dim] that it is of, and the tick at which each was retired, or 0.

    tombstones: how many are retired.
    """

    index: VectorIndex
    vectors: Vectors
    retired: Rows
    tombstones: int

    def search(
        self, queries: Vectors, ks: list[int], excluded: list[Rows], tick: int
    ) -> list[Hits]:
        """Return rows and scores of each query [b, dim], best first, at most its k of them.

        Fewer only where no more are live and not excluded. What is in the way is fetched on top;
        where that was not enough, four times as much, until comparing all is cheaper.

        Queries are not checked, see `check_vectors`. Tombstones are counted before rows are looked
        at: what is retired in between is of a later tick.
        """
        found: list[Hits] = [NOTHING] * len(queries)
        wants = [
            Want(query, k, rows, self._first_fetch(k + len(rows)))
            for query, (k, rows) in enumerate(zip(ks, excluded, strict=True))
        ]
        while wants and len(self.index):
            unmet = []
            for group in _alike(wants):
                fetch = max(want.fetch for want in group)
                is_last = fetch >= len(self.index) or self._is_cheaper_to_compare(fetch)
                hits = self._fetch(queries, group, fetch, tick)
                for want, hit in zip(group, hits, strict=True):
                    found[want.query] = hit
                    if len(hit[0]) < want.k and not is_last:
                        unmet.append(Want(want.query, want.k, want.excluded, 4 * fetch))
            wants = unmet
        return found

    def compares_all(self, needed: int) -> bool:
        """Say whether so many rows are found by comparing them all, whatever the index."""
        return self._is_cheaper_to_compare(self._first_fetch(needed))

    def _first_fetch(self, needed: int) -> int:
        """Add the tombstones to be expected among `needed` live rows, with some to spare."""
        live = max(1, len(self.index) - self.tombstones)
        expected = needed * self.tombstones / live
        return max(1, needed + min(self.tombstones, int(1.5 * expected) + 16))

    def _is_cheaper_to_compare(self, fetch: int) -> bool:
        return fetch > GRAPH_MOST and fetch * GRAPH_TIMES > len(self.index)

    def _fetch(self, queries: Vectors, group: list[Want], fetch: int, tick: int) -> list[Hits]:
        is_all = len(group) == len(queries)
        batch = queries if is_all else queries[[want.query for want in group]]
        if self._is_cheaper_to_compare(fetch):
            pairs = zip(batch, group, strict=True)
            return [self._compare(query, want, tick) for query, want in pairs]
        rows, scores = self.index.nearest(batch, fetch)
        if not self.tombstones and not any(len(want.excluded) for want in group):
            return [(rows[at, : want.k], scores[at, : want.k]) for at, want in enumerate(group)]
        usable = self._is_live_at(self.retired[rows], tick)
        hits = []
        for place, want in enumerate(group):
            good = usable[place]
            if len(want.excluded):  # a set of few is quicker than np.isin
                gone = set(want.excluded.tolist())
                good &= np.array([row not in gone for row in rows[place].tolist()], np.bool_)
            hits.append((rows[place][good][: want.k], scores[place][good][: want.k]))
        return hits

    def _compare(self, query: Vectors, want: Want, tick: int) -> Hits:
        """Compare one query with every row."""
        usable = self._is_live_at(self.retired, tick)
        usable[want.excluded] = False
        scores = np.where(usable, self.vectors @ query, np.float32(-np.inf))
        return top(scores, min(want.k, int(usable.sum())))

    @staticmethod
    def _is_live_at(retired: Rows, tick: int) -> NDArray[np.bool_]:
        live: NDArray[np.bool_] = (retired == 0) | (retired > tick)
        return live


def _alike(wants: list[Want]) -> list[list[Want]]:
    """Group what fetches about as much (within a factor of two): one search of the index each.

    In one search for all, every query would pay for the one that wants the most.
    """
    groups: dict[int, list[Want]] = {}
    for want in wants:
        groups.setdefault(want.fetch.bit_length(), []).append(want)
    return list(groups.values())
