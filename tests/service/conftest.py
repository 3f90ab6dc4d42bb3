"""A real Redis for each test process, and a tiny bundle that it is used with."""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from export.contract.bundle import BundleLayout
from export.embedder import Embedder, Vectors
from export.index.hnsw import HnswIndex
from service.generation import Generation
from service.redis.embedded import server_binary
from tests.tiny import tiny_bundle, tiny_schema


def start_redis(
    folder: Path, *more: str, binary: Path | None = None
) -> "tuple[subprocess.Popen[bytes], str]":
    """Start a server on a unix socket in a folder; returns it with its URL once it answers.

    Unless more options say otherwise it keeps nothing on disk.
    """
    binary = binary or server_binary()
    socket = folder / "redis.sock"
    options: list[str | Path] = ["--port", "0", "--unixsocket", socket, "--dir", folder]
    options += ["--save", "", "--appendonly", "no", "--loglevel", "warning", *more]
    process = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL)
    url = f"unix://{socket}"
    deadline_s = time.monotonic() + 10
    with redis.Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
            except redis.ConnectionError:
                assert time.monotonic() < deadline_s, "redis-server did not start"
                time.sleep(0.01)
            else:
                return process, url


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    process, url = start_redis(tmp_path_factory.mktemp("redis"))
    yield url
    process.kill()
    process.wait()


@pytest.fixture
def own_redis(tmp_path: Path) -> "Iterator[tuple[subprocess.Popen[bytes], str]]":
    """A server of this test's own, to be stopped (SIGSTOP) or killed, with its URL."""
    process, url = start_redis(tmp_path)
    yield process, url
    process.kill()
    process.wait()


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The URL of an empty Redis."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
        client.script_flush()
    return redis_server


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundles"))


@pytest.fixture
def generation(bundle_folder: Path) -> Generation:
    return Generation.load(bundle_folder)


@pytest.fixture(scope="session")
def embedder(bundle_folder: Path) -> Embedder:
    return Embedder.open(BundleLayout(bundle_folder), tiny_schema())


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    """Give back the handlers that the service's own logging replaces."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = threading.excepthook, sys.unraisablehook
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    threading.excepthook, sys.unraisablehook = hooks


@pytest.fixture
def linked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many vectors were linked into any graph, call by call."""
    counts: list[int] = []
    add: Callable[..., HnswIndex] = HnswIndex.with_more

    def noted(self: HnswIndex, vectors: Vectors, **options: int) -> HnswIndex:
        counts.append(len(vectors))
        return add(self, vectors, **options)

    monkeypatch.setattr(HnswIndex, "with_more", noted)
    return counts
