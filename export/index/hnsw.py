"""The index that walks a graph of neighbours (HNSW): fast, and almost always right."""

import logging
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self, cast

import hnswlib
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from export.contract.errors import BundleError
from export.index.base import (
    Labels,
    Scores,
    TunableSettings,
    VectorIndex,
    Vectors,
    check_labels,
    check_vectors,
    core_count,
)
from export.index.exact import nearest

logger = logging.getLogger(__name__)

BULK = 256  # more queries than this in one call are worth starting threads for
GRAPHS = ((16, 100), (24, 200), (48, 400))  # M, ef_construction of one ladder after the other
LADDER = (1, 1.5, 2, 3, 4, 6, 8, 12, 16)  # ef as a multiple of k, below which it has no effect
MOST_EF = 65536
GET_AT_ONCE = 1024  # reading vectors out of a graph holds the GIL, about 3 ms for so many
# How hnswlib 0.8 begins a file: offset of level 0, capacity, count, bytes of an element, where in
# it the label and the vector begin, highest level, entry point, links a node above, at 0, M, the
# levels' factor, ef_construction. The elements follow.
HEADER = struct.Struct("<6QiI3QdQ")


class HnswConfig(TunableSettings):
    """A graph in which each vector is linked to some of its neighbours.

    Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using
    Hierarchical Navigable Small World graphs", arXiv 1603.09320.
    """

    climbed: ClassVar[str] = "ef"

    kind: Literal["hnsw"] = "hnsw"
    # Links a vector keeps; memory grows by 8 M bytes an item.
    M: int = Field(default=16, ge=2, le=128)
    # Candidates weighed when a vector is linked.
    ef_construction: int = Field(default=100, ge=8, le=4096)
    # Candidates kept during a search; k of them where k is greater.
    ef: int = Field(default=200, ge=1, le=MOST_EF)
    seed: int = Field(default=1, ge=0, le=2**32 - 1)

    @classmethod
    def ladders(cls, count: int, k: int, seed: int) -> Iterator[list[Self]]:
        """Raise `ef` from k to 16 k; where that misses, link more densely, at most twice."""
        for links, wide in GRAPHS:
            efs = dict.fromkeys(min(round(k * factor), MOST_EF) for factor in LADDER)
            yield [cls(M=links, ef_construction=wide, ef=ef, seed=seed) for ef in efs]

    def searching(self, index: VectorIndex) -> "HnswIndex":
        """Return an index of the same graph, searched with this `ef`."""
        return cast(HnswIndex, index).with_ef(self.ef)

    def empty(self, dim: int, room: int) -> "HnswIndex":
        """Return an index of nothing with room for so many vectors, see `HnswIndex.with_more`."""
        graph = hnswlib.Index(space="ip", dim=dim)
        graph.init_index(
            max_elements=max(room, 1),
            M=self.M,
            ef_construction=self.ef_construction,
            random_seed=self.seed,
        )
        return HnswIndex(graph, dim=dim, count=0, ef=self.ef)

    def _build(self, vectors: Vectors, threads: int) -> "HnswIndex":
        return self.empty(vectors.shape[1], len(vectors)).with_more(vectors, threads=threads)

    def _read(self, path: Path, vectors: Vectors) -> "HnswIndex":
        count, dim = vectors.shape
        head = _head_of(path)
        got, expected = head.shape, {"count": count, "dim": dim, "M": self.M}
        if got != expected:
            raise BundleError(f"index file {path}: holds {got}, expected {expected}")
        check_labels(path, head.labels(path), count)
        graph = hnswlib.Index(space="ip", dim=dim)
        try:
            graph.load_index(str(path))
        except RuntimeError as error:
            raise BundleError(f"index file {path}: {error}") from error
        return HnswIndex(graph, dim=dim, count=count, ef=self.ef)


class HnswIndex(VectorIndex):
    """An hnswlib graph that nothing is added to while it is searched.

    `exact_answers` counts the queries that the graph could not answer and exact search did.
    """

    def __init__(self, graph: hnswlib.Index, *, dim: int, count: int, ef: int) -> None:
        super().__init__(dim=dim, count=count)
        self._graph = graph
        self._graph.set_ef(ef)  # a file does not hold it
        self._vectors: Vectors | None = None
        self.exact_answers = 0

    @property
    def ef(self) -> int:
        """Candidates kept during a search."""
        return int(self._graph.ef)

    def with_ef(self, ef: int) -> "HnswIndex":
        """Return an index that takes this one's graph over and searches it with another `ef`.

        This one must not be searched any more, so nobody else may hold it yet.
        """
        return HnswIndex(self._graph, dim=self.dim, count=len(self), ef=ef)

    def with_more(self, vectors: Vectors, *, threads: int = 1) -> "HnswIndex":
        """Return an index that takes this one's graph over, with more vectors [n, dim] linked in.

        Their labels go on from this one's, which must not be searched any more, or at the same
        time. Room that is lacking is made, once, at the cost of moving the graph. Other threads of
        Python run meanwhile. Raises VectorError as `build` does.
        """
        check_vectors(vectors, self.dim, "vector")
        count = len(self) + len(vectors)
        if count > self._graph.get_max_elements():
            self._graph.resize_index(count)
        if len(vectors):
            labels = np.arange(len(self), count)
            self._graph.add_items(vectors, labels, num_threads=threads)
        return HnswIndex(self._graph, dim=self.dim, count=count, ef=self.ef)

    def _nearest(self, queries: Vectors, k: int) -> tuple[Labels, Scores]:
        threads = core_count() if len(queries) > BULK else 1
        try:
            labels, distances = self._graph.knn_query(queries, k=k, num_threads=threads)
        except RuntimeError as error:
            if "2D array" not in str(error):
                raise
            return self._nearest_despite_islands(queries, k)
        return labels.view(np.int64), np.float32(1) - distances

    def _nearest_despite_islands(self, queries: Vectors, k: int) -> tuple[Labels, Scores]:
        """Search exactly where the walk ended on an island of fewer than k vectors.

        Many equal vectors make islands: they link to each other only. A larger `ef` finds no way
        off one (a search already keeps max(ef, k) candidates and had fewer), and one such query
        fails its whole batch, so rows are tried one by one.
        """
        if len(queries) > 1:
            rows = [self._nearest(queries[row : row + 1], k) for row in range(len(queries))]
            labels, scores = zip(*rows, strict=True)
            return np.concatenate(labels), np.concatenate(scores)
        if not self.exact_answers:
            logger.warning("graph has islands", extra={"items": len(self), "k": k})
        self.exact_answers += 1
        return nearest(self._all_vectors(), queries, k)

    def _all_vectors(self) -> Vectors:
        """Return the vectors [n, dim], read out of the graph at first need and kept."""
        if self._vectors is None:
            starts = range(0, len(self), GET_AT_ONCE)
            labels = np.arange(len(self))
            self._vectors = np.concatenate(
                [self._graph.get_items(labels[start : start + GET_AT_ONCE]) for start in starts]
            )
        return self._vectors

    def _write(self, part: Path) -> None:
        self._graph.save_index(str(part))
        size_bytes, expected = part.stat().st_size, self._graph.index_file_size()
        if size_bytes != expected:  # hnswlib does not notice a full disk
            raise OSError(f"{part}: {size_bytes} of {expected} bytes written; is the disk full?")


@dataclass(frozen=True)
class Head:
    """What a file's head says of the elements that follow it, each with a label."""

    count: int
    element_bytes: int
    label_at: int
    vector_at: int
    links: int

    @property
    def shape(self) -> dict[str, int]:
        """What has to be that of the vectors and settings; hnswlib would read on all the same."""
        dim = (self.label_at - self.vector_at) // 4
        return {"count": self.count, "dim": dim, "M": self.links}

    def labels(self, path: Path) -> NDArray[np.uint64]:
        """Return the labels uint64[count] in the file, which no library looks at.

        Raises:
            BundleError: The file ends before the last of them.

        """
        end = HEADER.size + self.count * self.element_bytes
        if end > (got := path.stat().st_size) or self.label_at + 8 > self.element_bytes:
            raise BundleError(f"index file {path}: {got} bytes, expected {end} and links")
        elements = np.memmap(path, np.uint8, "r")[HEADER.size : end]
        at = slice(self.label_at, self.label_at + 8)
        labels = elements.reshape(self.count, self.element_bytes)[:, at].copy()
        return labels.view(np.uint64)[:, 0]


def _head_of(path: Path) -> Head:
    """Read a file's head. Raises BundleError for a file too short to be an index."""
    with path.open("rb") as file:
        head = file.read(HEADER.size)
    if len(head) < HEADER.size:
        raise BundleError(f"index file {path}: {len(head)} bytes, too short for an index")
    _, _, count, element_bytes, label_at, vector_at, _, _, _, _, links, _, _ = HEADER.unpack(head)
    return Head(count, element_bytes, label_at, vector_at, links)
