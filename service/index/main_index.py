"""The main index: the vectors that a generation starts from, less those retired since."""

import logging

import numpy as np
from pydantic import TypeAdapter

from export.contract.bundle import IndexReport
from export.embedder import Vectors
from export.index import IndexConfig
from export.index.base import VectorIndex, core_count
from export.index.hnsw import HnswConfig, HnswIndex
from export.index.tune import TunedKind, ef_for, tune
from service.index.ids import Ids
from service.index.indexed import Indexed
from service.index.top import Hits, Rows

logger = logging.getLogger(__name__)

TOMBSTONES_MANY, TOMBSTONES_LEAST = 0.15, 250
"""Share of rows that are gone from which on a graph is built anew: they are fetched and dropped.
Fewer than so many cost a search less than a load costs the machine."""

NOBODY = ""
"""The id of a row that is gone, when its item has another one."""


class MainIndex:
    """An index that is not changed while it is searched, and when each of its rows was retired.

    Reading beside one writer is safe, as in `Arrivals`.
    """

    def __init__(
        self, ids: Ids, vectors: Vectors, index: VectorIndex, retired: Rows | None = None
    ) -> None:
        self.ids = ids
        self.vectors = vectors
        self.index = index
        self._retired: Rows = np.zeros(len(ids), np.int64) if retired is None else retired
        self.tombstones = int(np.count_nonzero(self._retired))

    def __len__(self) -> int:
        """Rows, the retired ones too."""
        return len(self.ids)

    @property
    def is_worn(self) -> bool:
        """Whether so many rows are gone that an index of those that are left is worthwhile."""
        return self.tombstones > max(TOMBSTONES_LEAST, TOMBSTONES_MANY * len(self))

    def retire(self, row: int, tick: int) -> None:
        """Take a row out of every search at this tick or later; a second time changes nothing."""
        if self._retired[row] == 0:
            self._retired[row] = tick
            self.tombstones += 1

    @property
    def indexed(self) -> Indexed:
        """What is searched."""
        return Indexed(self.index, self.vectors, self._retired, self.tombstones)

    def search(
        self, queries: Vectors, ks: list[int], excluded: list[Rows], tick: int
    ) -> list[Hits]:
        """Return rows and scores of each query [b, dim], see `Indexed.search`."""
        return self.indexed.search(queries, ks, excluded, tick)

    def with_more(
        self, ids: list[str], vectors: Vectors, report: IndexReport, threads: int | None
    ) -> "MainIndex":
        """Return a main index of what is live here and of more items, which are not.

        A graph takes them in, at a cost in proportion to them; it is given over and must not be
        searched here any more. Any other index, a worn one, and one that would miss the recall that
        the report asks for, make place for a new one of all: compact where it was, else a graph.
        """
        live = self._retired == 0
        vectors = np.concatenate([self.vectors, vectors])
        if not self.is_worn and (index := self._grown(vectors, report, threads)) is not None:
            known = [one if lives else NOBODY for one, lives in zip(self.ids, live, strict=True)]
            retired = np.concatenate([self._retired, np.zeros(len(ids), np.int64)])
            return MainIndex(Ids(known + ids), vectors, index, retired)
        vectors = vectors[np.concatenate([live, np.ones(len(ids), np.bool_)])]
        vectors.flags.writeable = False  # so that an index that needs them keeps no copy
        kind: TunedKind = "compact" if report.settings.get("kind") == "compact" else "hnsw"
        tuned = tune(vectors, k=report.k, target=report.target_recall, threads=threads, kind=kind)
        if not tuned.reached:
            facts = {"recall": tuned.measured_recall, "target": report.target_recall}
            logger.warning("rebuilt index misses its recall", extra=facts)
        return MainIndex(Ids(self.ids.take(np.flatnonzero(live)) + ids), vectors, tuned.index)

    def _grown(
        self, vectors: Vectors, report: IndexReport, threads: int | None
    ) -> VectorIndex | None:
        """Let a graph take in those of vectors [n, dim] that it has not, and raise its ef to suit.

        None if it is no graph, or misses its recall then.
        """
        if not isinstance(self.index, HnswIndex):
            return None
        index = self.index.with_more(vectors[len(self) :], threads=threads or core_count())
        ef, recall = ef_for(index, vectors, k=report.k, target=report.target_recall)
        return index.with_ef(ef) if recall >= report.target_recall else None


def graph_settings(report: IndexReport) -> HnswConfig:
    """Return the settings of a bundle's graph, or those of one for a bundle that has none."""
    config: IndexConfig = TypeAdapter(IndexConfig).validate_python(report.settings)
    return config if isinstance(config, HnswConfig) else HnswConfig()
