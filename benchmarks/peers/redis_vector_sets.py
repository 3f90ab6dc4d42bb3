"""Redis' vector sets: graphs inside a Redis of their own, asked over its socket."""

import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar, Literal

import redis
from redis.asyncio import Redis

from benchmarks.peers.base import Near, Peer
from export.embedder import Vectors
from service.redis.embedded import socket_path
from tests.faults.own_redis import OwnRedis

KEY = "items"
AT_ONCE = 1000
BUILD_MOST_S = 600.0


def own_redis(folder: Path, binary: Path) -> OwnRedis:
    """Return a server with what was saved in a folder, on a socket too; it is not started yet."""
    socket = str(socket_path(folder))
    return OwnRedis(folder, "--appendonly", "no", "--unixsocket", socket, binary=binary)


def server() -> Path:
    """Return the redis-server on PATH, which has to know VADD; LookupError if there is none."""
    if found := shutil.which("redis-server"):
        with (
            tempfile.TemporaryDirectory() as folder,
            own_redis(Path(folder), Path(found)) as one,
            redis.Redis.from_url(one.url) as client,
        ):
            if client.execute_command("COMMAND INFO", "VADD")[0]:
                return Path(found)
    raise LookupError("no redis-server with vector sets (8.0 or later) on PATH")


class RedisQ8(Peer):
    """A vector set as it comes: 8-bit codes, which also make the scores, and 16 links.

    A search runs in Redis' main thread (NOTHREAD): nobody else needs that one here, and a thread
    for each search, which Redis starts otherwise, takes a third more of the server's CPU.
    """

    quantisation: ClassVar[Literal["Q8", "NOQUANT"]] = "Q8"
    efforts = (100, 150, 200, 300, 400, 600, 800)

    @classmethod
    def missing(cls) -> str:
        """Say that there is no redis-server with vector sets."""
        try:
            server()
        except LookupError as error:
            return str(error)
        return ""

    def build(self, vectors: Vectors) -> None:
        """Add the vectors, each under its row number, and save them."""
        with (
            own_redis(self.folder, server()) as one,
            redis.Redis.from_url(one.url, socket_timeout=BUILD_MOST_S) as client,
        ):
            for start in range(0, len(vectors), AT_ONCE):
                with client.pipeline(transaction=False) as line:
                    for row, vector in enumerate(vectors[start : start + AT_ONCE], start):
                        words = ("FP32", vector.tobytes(), row, self.quantisation)
                        line.execute_command("VADD", KEY, *words)
                    line.execute()
            client.save()

    async def open(self) -> None:
        """Start the server, and wait until it has read what was saved."""
        self._server = own_redis(self.folder, server())
        self._server.start()
        path = str(socket_path(self.folder))
        self._client = Redis(unix_socket_path=path, protocol=3)  # scores come as numbers

    async def search(self, vector: Vectors, k: int, effort: int) -> Near:
        """Walk the graph with a list of `effort` candidates."""
        asked = (vector.tobytes(), "WITHSCORES", "COUNT", k, "EF", effort, "NOTHREAD")
        found: Any = await self._client.execute_command("VSIM", KEY, "FP32", *asked)  # type: ignore[no-untyped-call]
        return [int(row) for row in found], [2 * score - 1 for score in found.values()]

    def processes(self) -> tuple[int, ...]:
        """Return the server's process."""
        return (self._server.process.pid,)

    async def close(self) -> None:
        """End the server."""
        await self._client.aclose()
        self._server.kill()


class RedisNoquant(RedisQ8):
    """A vector set of whole vectors (NOQUANT)."""

    quantisation = "NOQUANT"
