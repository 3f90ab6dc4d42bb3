"""A Redis of a test's own, on a port of the loopback, with its data on disk."""

import shutil
import subprocess
from pathlib import Path
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.redis.embedded import server_binary, server_version
from service.store.durability import WAITAOF_SINCE
from tests.end_to_end.processes import free_port
from tests.service.store.servers import eventually

__all__ = ["OwnRedis", "eventually", "waitaof_server"]

ONCE = Retry(NoBackoff(), 0)


def waitaof_server() -> Path:
    """Return the server on PATH that can wait for its disk; LookupError if there is none."""
    for name in ("redis-server", "valkey-server"):
        if (found := shutil.which(name)) and release(Path(found)) >= WAITAOF_SINCE:
            return Path(found)
    raise LookupError("no redis-server 7.2 or later on PATH")


def release(binary: Path) -> tuple[int, ...]:
    """Return the version that a server says it has, as in (7, 2, 4)."""
    return tuple(map(int, server_version(binary).split(".")))


class OwnRedis:
    """A server that syncs every write, unless options say otherwise; it may be killed at will.

    In a `with` block it runs from the beginning and is killed at the end.
    """

    def __init__(self, folder: Path, *options: str, binary: Path | None = None) -> None:
        self.folder = folder
        self._binary = binary or server_binary()
        self.port = free_port()
        self._options = options

    @property
    def url(self) -> str:
        """Its URL."""
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        options = ["--port", str(self.port), "--dir", str(self.folder), "--loglevel", "warning"]
        options += ["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]
        options += ["--appendfsync", "always", *self._options]
        self.process = subprocess.Popen([self._binary, *options], stdout=subprocess.DEVNULL)
        eventually(self.answers)

    def answers(self) -> bool:
        """Say whether it answers."""
        try:
            with redis.Redis(port=self.port, socket_timeout=1, retry=ONCE) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def kill(self) -> None:
        """Kill -9."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
