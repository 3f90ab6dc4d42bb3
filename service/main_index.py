"""The main index: the vectors that a generation starts from, less those retired since."""

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.contract.bundle import Bundle
from export.embedder import Vectors
from export.index.base import VectorIndex
from export.index.tune import tune
from service.ids import Ids
from service.top import Rows, Scores, top

logger = logging.getLogger(__name__)

GRAPH_MOST = 1024
GRAPH_TIMES = 100
"""To find more than `GRAPH_MOST` rows, and more than one in `GRAPH_TIMES` of all, all are compared:
a graph takes some 2.5 us for a row it finds, comparing 0.025 us for a row there is (dim 64)."""


@dataclass
class Want:
    """What one query still needs: `k` rows, none of `excluded`, to be found among `fetch`."""

    query: int
    k: int
    excluded: Rows
    fetch: int


class MainIndex:
    """An index that never changes, and the tick at which each of its rows was retired.

    Reading beside one writer is safe, as in `Delta`.
    """

    def __init__(self, ids: Ids, vectors: Vectors, index: VectorIndex) -> None:
        self.ids = ids
        self.vectors = vectors
        self._index = index
        self._retired: Rows = np.zeros(len(ids), dtype=np.int64)
        self.tombstones = 0

    def __len__(self) -> int:
        """Rows, the retired ones too."""
        return len(self.ids)

    def retire(self, row: int, tick: int) -> None:
        """Take a row out of every search at this tick or later; a second time changes nothing."""
        if self._retired[row] == 0:
            self._retired[row] = tick
            self.tombstones += 1

    def live_rows(self) -> Rows:
        """Return the rows that are not retired."""
        return np.flatnonzero(self._retired == 0)

    def search(
        self, queries: Vectors, ks: list[int], excluded: list[Rows], tick: int
    ) -> list[tuple[Rows, Scores]]:
        """Return rows and scores of each query [b, dim], best first, at most its k of them.

        Fewer only where no more are live and not excluded. What is in the way is fetched on top;
        where that was not enough, four times as much, until comparing all is cheaper.
        """
        nothing = (np.empty(0, np.int64), np.empty(0, np.float32))
        found: list[tuple[Rows, Scores]] = [nothing] * len(queries)
        wants = [
            Want(query, k, rows, self._first_fetch(k + len(rows)))
            for query, (k, rows) in enumerate(zip(ks, excluded, strict=True))
        ]
        while wants and len(self):
            unmet = []
            for group in _alike(wants):
                fetch = max(want.fetch for want in group)
                is_last = fetch >= len(self) or self._is_cheaper_to_compare(fetch)
                hits = self._fetch(queries, group, fetch, tick)
                for want, hit in zip(group, hits, strict=True):
                    found[want.query] = hit
                    if len(hit[0]) < want.k and not is_last:
                        unmet.append(Want(want.query, want.k, want.excluded, 4 * fetch))
            wants = unmet
        return found

    def _first_fetch(self, needed: int) -> int:
        """Add the tombstones to be expected among `needed` live rows, with some to spare."""
        live = max(1, len(self) - self.tombstones)
        expected = needed * self.tombstones / live
        return max(1, needed + min(self.tombstones, int(1.5 * expected) + 16))

    def _is_cheaper_to_compare(self, fetch: int) -> bool:
        return fetch > GRAPH_MOST and fetch * GRAPH_TIMES > len(self)

    def _fetch(
        self, queries: Vectors, group: list[Want], fetch: int, tick: int
    ) -> list[tuple[Rows, Scores]]:
        batch = queries[[want.query for want in group]]
        if self._is_cheaper_to_compare(fetch):
            pairs = zip(batch, group, strict=True)
            return [self._compare(query, want, tick) for query, want in pairs]
        rows, scores = self._index.search(batch, fetch)
        usable = self._is_live_at(self._retired[rows], tick)
        hits = []
        for place, want in enumerate(group):
            good = usable[place]
            if len(want.excluded):  # a set of few is quicker than np.isin
                gone = set(want.excluded.tolist())
                good &= np.array([row not in gone for row in rows[place].tolist()], np.bool_)
            hits.append((rows[place][good][: want.k], scores[place][good][: want.k]))
        return hits

    def _compare(self, query: Vectors, want: Want, tick: int) -> tuple[Rows, Scores]:
        """Compare one query with every row."""
        usable = self._is_live_at(self._retired, tick)
        usable[want.excluded] = False
        scores = np.where(usable, self.vectors @ query, np.float32(-np.inf))
        return top(scores, min(want.k, int(usable.sum())))

    @staticmethod
    def _is_live_at(retired: Rows, tick: int) -> NDArray[np.bool_]:
        live: NDArray[np.bool_] = (retired == 0) | (retired > tick)
        return live


def tuned_index(bundle: Bundle, vectors: Vectors, threads: int | None) -> VectorIndex:
    """Build an index of other vectors that is tuned to the recall that the bundle's was."""
    report = bundle.manifest.index
    tuned = tune(vectors, k=report.k, target=report.target_recall, threads=threads)
    if not tuned.reached:
        facts = {"recall": tuned.measured_recall, "target": report.target_recall}
        logger.warning("rebuilt index misses its recall", extra=facts)
    return tuned.index


def _alike(wants: list[Want]) -> list[list[Want]]:
    """Group what fetches about as much (within a factor of two): one search of the index each.

    In one search for all, every query would pay for the one that wants the most.
    """
    groups: dict[int, list[Want]] = {}
    for want in wants:
        groups.setdefault(want.fetch.bit_length(), []).append(want)
    return list(groups.values())
