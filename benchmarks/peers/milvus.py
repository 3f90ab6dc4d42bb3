"""Milvus Lite: Milvus' interface over one file, in the process."""

import numpy as np
from pymilvus import MilvusClient

from benchmarks.peers.base import Near, Peer
from export.embedder import Vectors

AT_ONCE = 5000


class MilvusLite(Peer):
    """Lists of vectors (IVF_FLAT), the index that Milvus Lite has for so many."""

    efforts = (4, 8, 16, 32, 64, 128)
    note = "a functional stand-in for Milvus, whose server has graphs and runs apart"

    def build(self, vectors: Vectors) -> None:
        """Insert the vectors, and index them."""
        client = MilvusClient(str(self.folder / "milvus.db"))
        settings = client.prepare_index_params()
        lists = 2 * round(len(vectors) ** 0.5)
        settings.add_index(
            "vector", index_type="IVF_FLAT", metric_type="IP", params={"nlist": lists}
        )
        client.create_collection("items", dimension=vectors.shape[1], metric_type="IP")
        for start in range(0, len(vectors), AT_ONCE):
            part = vectors[start : start + AT_ONCE]
            client.insert("items", [{"id": start + n, "vector": v} for n, v in enumerate(part)])
        client.release_collection("items")
        client.drop_index("items", "vector")
        client.create_index("items", settings)
        client.close()

    async def open(self) -> None:
        """Open the file."""
        self._client = MilvusClient(str(self.folder / "milvus.db"))
        self._client.load_collection("items")

    async def search(self, vector: Vectors, k: int, effort: int) -> Near:
        """Look through `effort` lists."""
        [found] = self._client.search(
            "items",
            data=[np.asarray(vector)],
            limit=k,
            search_params={"metric_type": "IP", "params": {"nprobe": effort}},
        )
        return [one["id"] for one in found], [one["distance"] for one in found]
