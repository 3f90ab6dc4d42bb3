"""A server that holds the catalogue is killed: its replica takes over, and the service follows."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.records import UserRecord
from service.store import Store, StoreUnavailable
from tests.end_to_end.processes import Served, recalled
from tests.faults.test_redis_client import is_open
from tests.service.store.servers import (
    Cluster,
    Sentinel,
    Server,
    eventually,
    is_replicating,
    running,
)
from tests.service.store.test_redis import with_store
from tests.tiny import tiny_bundle

WITHIN_S = 60.0
"""How soon a busy machine must have got over a failover that takes some 3 s."""
DISK = ("--appendonly", "yes", "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0")


def post(served: Served, one: str) -> tuple[int, Any]:
    return served.ask("POST", "/items", {"id": one, "topics": ["art"]})


def is_well(served: Served) -> bool:
    status, answer = served.ask("GET", "/readyz")
    return (status, answer["state"]) == (200, "ready")


def kill(server: Server) -> None:
    server.kill()


def stop(server: Server) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)


End = Callable[[Server], None]


def posted_until_ended(served: Served, doomed: Server, end: End, most: int = 40) -> list[str]:
    """Post items, and end a server on the way; return those that were acknowledged as durable."""
    acknowledged = []
    for number in range(most):
        if number == most // 2:
            end(doomed)
        status, answer = post(served, f"x{number}")
        if number < most // 2:
            assert (status, answer["durable"]) == (201, True), answer
        if status == 201 and answer["durable"]:
            acknowledged.append(f"x{number}")
        elif number > most // 2:
            break
    return acknowledged


def check_service_outlives(served: Served, doomed: Server, end: End) -> None:
    assert served.ask("PUT", "/users/u", {"age": 30.0})[0] == 201
    acknowledged = posted_until_ended(served, doomed, end)
    assert len(acknowledged) >= 20
    assert recalled(served, acknowledged[0])  # without Redis too
    eventually(lambda: post(served, "after")[0] in (200, 201), WITHIN_S)
    eventually(lambda: is_well(served), WITHIN_S)
    for one in (*acknowledged, "after"):
        assert served.ask("GET", f"/items/{one}")[0] == 200
    eventually(lambda: served.ask("GET", "/recall?user_id=u&k=5")[1]["degraded"] == [], WITHIN_S)
    eventually(lambda: is_open(served) == 0, WITHIN_S)


@pytest.fixture
def watched(tmp_path: Path) -> "Iterator[tuple[Server, Server, Sentinel]]":
    """A primary, its replica, and a Sentinel that knows both."""
    primary = Server(tmp_path / "primary", *DISK)
    with running(primary):
        replica = Server(tmp_path / "replica", *DISK, "--replicaof", "127.0.0.1", str(primary.port))
        sentinel = Sentinel(tmp_path / "sentinel", primary)
        with running(replica, sentinel):
            eventually(lambda: is_replicating(replica) and sentinel.replicas() == 1)
            yield primary, replica, sentinel


@pytest.mark.parametrize("end", [kill, stop])
def test_behind_a_sentinel_the_service_follows_to_the_new_primary(
    watched: tuple[Server, Server, Sentinel], tmp_path: Path, end: End
) -> None:
    primary, replica, sentinel = watched
    # One that does not answer is no hindrance.
    url = f"redis+sentinel://127.0.0.1:1,{sentinel.name}/ours"
    bundle = tiny_bundle(tmp_path / "bundles")
    served = Served(tmp_path / "served", bundle, "--redis", url, write_ack="replica")
    try:
        eventually(lambda: served.ask("GET", "/readyz")[1]["durability"] == "replica")
        check_service_outlives(served, primary, end)
        assert sentinel.primary() == replica.port
        with replica.client() as client:
            stored = set(client.zrange("{fs}:items", 0, -1))
        assert {b"x0", b"x19", b"after"} <= stored
        assert served.stop() == 0
    finally:
        served.kill()


def test_in_a_cluster_the_service_follows_to_the_replica_of_the_catalogues_node(
    tmp_path: Path,
) -> None:
    cluster = Cluster(tmp_path / "cluster", 3, *DISK)
    try:
        doomed = cluster.holder("{fs}:items")
        replica = cluster.add_replica(doomed)
        rest = [node for node in cluster.nodes if node is not doomed]
        eventually(
            lambda: all(
                ("127.0.0.1", replica.port) in cluster.slots(node).everyone for node in rest
            )
        )
        bundle = tiny_bundle(tmp_path / "bundles")
        served = Served(tmp_path / "served", bundle, "--redis", cluster.url, write_ack="replica")
        try:
            eventually(lambda: served.ask("GET", "/readyz")[1]["durability"] == "replica")
            check_service_outlives(served, doomed, kill)
            assert cluster.holder("{fs}:items", rest) is replica
        finally:
            served.kill()
    finally:
        cluster.kill()


def test_a_dead_node_of_a_cluster_is_the_matter_of_its_own_users(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, 3)
    users = [f"u{n}" for n in range(30)]
    try:
        doomed = next(n for n in cluster.nodes if n is not cluster.holder("{fs}:items"))
        lost = [cluster.holder(f"fs:user:{one}") is doomed for one in users]
        assert 0 < sum(lost) < len(users)

        async def use(store: Store) -> None:
            for one in users:
                await store.put_user(UserRecord(one, {"age": 1.0}))
            doomed.kill()
            for _ in range(10):
                found = await store.get_users(users)
                assert [isinstance(one, StoreUnavailable) for one in found] == lost
                assert [isinstance(one, UserRecord) for one in found] == [not one for one in lost]
            assert store.link.is_open

        with_store(cluster.url, use)
    finally:
        cluster.kill()
