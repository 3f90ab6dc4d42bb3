"""pgvector: Postgres with an HNSW index, over its socket."""

from pathlib import Path
from weakref import WeakKeyDictionary

import pgserver
import psutil
import psycopg
from pgvector.psycopg import register_vector, register_vector_async
from psycopg_pool import AsyncConnectionPool

from benchmarks.peers.base import Near, Peer
from export.embedder import Vectors

CONNECTIONS = 8


class PgVector(Peer):
    """A table of vectors, asked with a prepared statement over a pool of connections."""

    efforts = (100, 150, 200, 300, 400, 600, 1000)

    def build(self, vectors: Vectors) -> None:
        """Copy the vectors in, then index them."""
        server = pgserver.get_server(self.folder / "pg")
        with psycopg.connect(server.get_uri(), autocommit=True) as line:
            line.execute("CREATE EXTENSION IF NOT EXISTS vector")
            register_vector(line)
            line.execute(f"CREATE TABLE items (row int PRIMARY KEY, v vector({vectors.shape[1]}))")
            with line.cursor().copy("COPY items FROM STDIN WITH (FORMAT BINARY)") as copy:
                copy.set_types(["int4", "vector"])
                for row, vector in enumerate(vectors):
                    copy.write_row((row, vector))
            line.execute("SET maintenance_work_mem = '1GB'")
            line.execute("SET max_parallel_maintenance_workers = 1")
            line.execute("CREATE INDEX ON items USING hnsw (v vector_ip_ops)")
            line.execute("VACUUM ANALYZE items")

    async def open(self) -> None:
        """Start the server, unless it runs, and connect."""
        self._server = pgserver.get_server(self.folder / "pg")
        uri = self._server.get_uri()
        self._pool = AsyncConnectionPool(
            uri,
            min_size=CONNECTIONS,
            max_size=CONNECTIONS,
            open=False,
            configure=register_vector_async,
            kwargs={"autocommit": True, "prepare_threshold": 0},
        )
        await self._pool.open(wait=True)
        self._efforts: WeakKeyDictionary[object, int] = WeakKeyDictionary()

    async def search(self, vector: Vectors, k: int, effort: int) -> Near:
        """Ask for the nearest by the index, with a list of `effort` candidates."""
        async with self._pool.connection() as line:
            if self._efforts.get(line) != effort:
                await line.execute(f"SET hnsw.ef_search = {effort}")
                self._efforts[line] = effort
            found = await line.execute(
                "SELECT row, v <#> %s FROM items ORDER BY v <#> %s LIMIT %s",
                (vector, vector, k),
                binary=True,
            )
            rows = await found.fetchall()
        return [row for row, _ in rows], [-distance for _, distance in rows]

    def processes(self) -> tuple[int, ...]:
        """Return Postgres' processes."""
        pid = int(Path(self.folder / "pg" / "postmaster.pid").read_text().split()[0])
        top = psutil.Process(pid)
        return (pid, *(one.pid for one in top.children(recursive=True)))
