"""LanceDB: tables in files, searched in the process by its own engine."""

import lancedb
import pyarrow as pa

from benchmarks.peers.base import Near, Peer
from export.embedder import Vectors


class LanceDb(Peer):
    """Lists of 8-bit codes under a graph (IVF_HNSW_SQ), scored again by the vectors."""

    efforts = (200, 300, 400, 600, 800)

    def build(self, vectors: Vectors) -> None:
        """Write a table, and index it."""
        dim = vectors.shape[1]
        flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dim)
        table = pa.table({"row": pa.array(range(len(vectors)), pa.int32()), "vector": flat})
        kept = lancedb.connect(str(self.folder / "lance")).create_table("items", table)
        kept.create_index(metric="dot", index_type="IVF_HNSW_SQ", num_partitions=1)

    async def open(self) -> None:
        """Open the table."""
        line = await lancedb.connect_async(str(self.folder / "lance"))
        self._table = await line.open_table("items")

    async def search(self, vector: Vectors, k: int, effort: int) -> Near:
        """Walk the graph with `effort` candidates, twice k at least, and score these again."""
        asked = self._table.query().nearest_to(vector).distance_type("dot").ef(effort)
        found = await asked.refine_factor(2).limit(k).select(["row", "_distance"]).to_arrow()
        distances = found["_distance"].to_numpy()
        return found["row"].to_pylist(), (1 - distances).tolist()
