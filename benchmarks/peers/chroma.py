"""Chroma: a collection in a folder, searched in the process."""

import chromadb
from chromadb.api.shared_system_client import SharedSystemClient

from benchmarks.peers.base import Near, Peer
from export.embedder import Vectors

AT_ONCE = 5000


class Chroma(Peer):
    """A collection with hnswlib's graph inside."""

    efforts = (100, 150, 200, 300, 400, 600, 800)

    def build(self, vectors: Vectors) -> None:
        """Add the vectors, each under its row number."""
        client = chromadb.PersistentClient(str(self.folder / "chroma"))
        settings = {"hnsw": {"space": "ip", "ef_construction": 100}}
        kept = client.create_collection("items", configuration=settings)
        for start in range(0, len(vectors), AT_ONCE):
            part = vectors[start : start + AT_ONCE]
            ids = [str(start + n) for n in range(len(part))]
            kept.add(ids=ids, embeddings=part)

    async def open(self) -> None:
        """Open the collection."""
        self._effort = 0
        self._reopen()

    def _reopen(self) -> None:
        SharedSystemClient.clear_system_cache()
        self._kept = chromadb.PersistentClient(str(self.folder / "chroma")).get_collection("items")

    async def search(self, vector: Vectors, k: int, effort: int) -> Near:
        """Walk the graph with a list of `effort` candidates, an option that an open one keeps."""
        if effort != self._effort:
            self._kept.modify(configuration={"hnsw": {"ef_search": effort}})
            self._reopen()
            self._effort = effort
        found = self._kept.query(query_embeddings=[vector], n_results=k, include=["distances"])
        return [int(one) for one in found["ids"][0]], [1 - one for one in found["distances"][0]]
