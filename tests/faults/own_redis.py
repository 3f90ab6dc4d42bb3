"""A Redis of a test's own, on a port of the loopback, with its data on disk."""

import subprocess
from pathlib import Path
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.redis.embedded import server_binary
from tests.end_to_end.processes import free_port
from tests.service.store.servers import eventually

__all__ = ["OwnRedis", "eventually"]

ONCE = Retry(NoBackoff(), 0)


class OwnRedis:
    """A server that syncs every write, unless options say otherwise; it may be killed at will.

    In a `with` block it runs from the beginning and is killed at the end.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
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
        self.process = subprocess.Popen([server_binary(), *options], stdout=subprocess.DEVNULL)
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
