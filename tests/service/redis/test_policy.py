"""A Redis that evicts must not hold the catalogue."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from service.redis.embedded import EmbeddedRedis
from service.redis.policy import RedisRefused, refuse_unfit
from tests.service.store.servers import SLOTS, Cluster, Sentinel, Server, running


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with EmbeddedRedis(tmp_path) as url:
        yield url


def test_redis_that_keeps_everything_is_taken(url: str) -> None:
    refuse_unfit(url)


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_evicting_redis_is_refused_with_the_remedy(url: str, policy: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.config_set("maxmemory-policy", policy)
    with pytest.raises(RedisRefused, match=rf"{policy}.*set `maxmemory-policy noeviction`") as info:
        refuse_unfit(url)
    assert "\n" not in str(info.value)


def test_password_stays_out_of_the_refusal(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("requirepass", "hunter2")
    with pytest.raises(RedisRefused) as info:
        refuse_unfit(f"{url}?password=hunter2")
    assert "hunter2" not in str(info.value)


def test_unreachable_redis_is_not_judged() -> None:
    refuse_unfit("redis://127.0.0.1:1", timeout_s=0.2)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Server]:
    """One node of a cluster that has no other."""
    node = Server(tmp_path / "node", "--cluster-enabled", "yes")
    with running(node):
        node.do("CLUSTER", "ADDSLOTS", *range(SLOTS))
        yield node


def test_a_node_of_a_cluster_is_refused_by_the_url_of_one_server(node: Server) -> None:
    with pytest.raises(RedisRefused) as caught:
        refuse_unfit(node.url)
    assert str(caught.value).endswith(f"node of a cluster: give redis+cluster://{node.name}")
    refuse_unfit(f"redis+cluster://{node.name}")


def test_every_node_of_a_cluster_must_keep_everything(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, 2)
    try:
        refuse_unfit(cluster.url)
        other = next(one for one in cluster.nodes if one is not cluster.holder("{fs}:items"))
        other.do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        with pytest.raises(RedisRefused, match=rf"{other.name} evicts"):
            refuse_unfit(cluster.url)
        other.kill()
        refuse_unfit(cluster.url)  # who does not answer is not judged
    finally:
        cluster.kill()


def test_what_is_no_cluster_and_no_sentinel_is_refused_as_one(tmp_path: Path) -> None:
    server = Server(tmp_path)
    with running(server):
        for kind, path in (("cluster", ""), ("sentinel", "/ours")):
            with pytest.raises(RedisRefused, match=f"is no {kind}: give redis://"):
                refuse_unfit(f"redis+{kind}://{server.name}{path}")


def test_a_sentinel_is_refused_as_a_server(tmp_path: Path) -> None:
    server = Server(tmp_path / "server", "--maxmemory-policy", "allkeys-lru")
    with running(server):
        sentinel = Sentinel(tmp_path / "sentinel", server)
        with running(sentinel):
            with pytest.raises(RedisRefused) as caught:
                refuse_unfit(sentinel.url)
            right = f"give redis+sentinel://{sentinel.name}/SERVICE"
            assert str(caught.value).endswith(f"is a Sentinel: {right}")
            with pytest.raises(RedisRefused, match=f"{server.name} evicts"):
                refuse_unfit(f"redis+sentinel://{sentinel.name}/ours")


def test_url_that_is_none_is_refused() -> None:
    with pytest.raises(RedisRefused, match="redis URL"):
        refuse_unfit("127.0.0.1:6379")
