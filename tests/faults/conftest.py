"""A real service behind a proxy, and the Redis, bundle and replicas of the service's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from export.embedder import Embedder
from tests.end_to_end.processes import Served
from tests.faults.own_redis import OwnRedis, eventually
from tests.faults.proxy import Proxy
from tests.service.conftest import (
    bundle_folder,
    embedder,
    logging_as_it_was,
    own_redis,
    redis_client,
    redis_server,
    redis_url,
)
from tests.service.snapshot.world import World
from tests.tiny import tiny_bundle

__all__ = [
    "OwnRedis",
    "bundle_folder",
    "embedder",
    "eventually",
    "logging_as_it_was",
    "own_redis",
    "redis_client",
    "redis_server",
    "redis_url",
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OwnRedis]:
    """A Redis."""
    server = OwnRedis(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[tuple[OwnRedis, Proxy, Served]]":
    """A Redis, the proxy before it, and a service that knows only the proxy."""
    folder = tmp_path_factory.mktemp("faults")
    server = OwnRedis(folder)
    server.start()
    with Proxy(("127.0.0.1", server.port)) as proxy:
        served = Served(folder / "served", tiny_bundle(folder / "bundles"), "--redis", proxy.url)
        yield server, proxy, served
        served.kill()
    server.kill()


@pytest.fixture
def world(redis_url: str, bundle_folder: Path, embedder: Embedder, tmp_path: Path) -> World:
    return World(redis_url, bundle_folder, embedder, tmp_path)
