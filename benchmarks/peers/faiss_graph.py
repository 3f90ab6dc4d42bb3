"""faiss, in the process: the library that most begin with."""

import faiss
import numpy as np

from benchmarks.peers.base import Near, Peer
from export.embedder import Vectors


class Faiss(Peer):
    """A graph (HNSW), one thread a search."""

    efforts = (100, 150, 200, 300, 400, 600, 800)

    def build(self, vectors: Vectors) -> None:
        """Link the vectors; 32 links is what faiss' guide begins with."""
        index = faiss.IndexHNSWFlat(vectors.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 100
        index.add(vectors)
        faiss.write_index(index, str(self.folder / "index.faiss"))

    async def open(self) -> None:
        """Read the file."""
        faiss.omp_set_num_threads(1)
        self._index = faiss.read_index(str(self.folder / "index.faiss"))

    async def search(self, vector: Vectors, k: int, effort: int) -> Near:
        """Walk the graph with a list of `effort` candidates."""
        self._index.hnsw.efSearch = effort
        scores, rows = self._index.search(np.ascontiguousarray(vector[None]), k)
        return rows[0].tolist(), scores[0].tolist()
