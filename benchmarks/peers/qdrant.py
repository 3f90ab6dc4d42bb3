"""Qdrant's client in its local mode: the interface of the server, over a folder."""

from qdrant_client import QdrantClient, models

from benchmarks.peers.base import Near, Peer
from export.embedder import Vectors

AT_ONCE = 1000


class QdrantLocal(Peer):
    """Every vector is compared: local mode has no index."""

    efforts = (0,)
    note = "a functional stand-in for Qdrant, whose server has graphs and runs apart"

    def build(self, vectors: Vectors) -> None:
        """Upload the vectors, each under its row number."""
        client = QdrantClient(path=str(self.folder / "qdrant"))
        size = vectors.shape[1]
        settings = models.VectorParams(size=size, distance=models.Distance.DOT)
        client.create_collection("items", vectors_config=settings)
        for start in range(0, len(vectors), AT_ONCE):
            part = vectors[start : start + AT_ONCE]
            client.upload_collection("items", part, ids=range(start, start + len(part)))
        client.close()

    async def open(self) -> None:
        """Open the folder."""
        self._client = QdrantClient(path=str(self.folder / "qdrant"))

    async def search(self, vector: Vectors, k: int, effort: int) -> Near:
        """Compare all; there is no effort to choose."""
        found = self._client.query_points("items", query=vector, limit=k).points
        return [int(one.id) for one in found], [one.score for one in found]
