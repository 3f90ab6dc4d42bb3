"""What a Redis keeps is read from itself, and never said to be more than it is."""

import asyncio
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from service.redis.embedded import EmbeddedRedis
from service.store import Store, StoreUnavailable, WriteAck, Written
from service.store.durability import WAIT_MS, AckKind, Durability, Keeping
from tests.end_to_end.processes import free_port
from tests.faults.own_redis import waitaof_server
from tests.service.conftest import start_redis
from tests.service.store.test_redis import VECTORS, put, with_store

GOOD = Keeping("7.2.0", appends=True, fsyncs="everysec", eviction="noeviction", replicas=0)
Config = dict[str, str]


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[str]:
    """The URL of a server that writes every second."""
    port = str(free_port())  # for a replica
    process, url = start_redis(tmp_path, *["--appendonly", "yes", "--port"], port)
    yield url
    process.kill()
    process.wait()


def keep(url: str, config: Config) -> None:
    with redis.Redis.from_url(url) as client:
        for name, value in config.items():
            client.config_set(name, value)


def looked(url: str, ack: WriteAck) -> Durability:
    async def use(store: Store) -> Durability:
        assert store.link.durability is None
        await store.link.look()
        assert store.link.durability is not None
        return store.link.durability

    return with_store(url, use, ack=ack)


def written(url: str, ack: WriteAck) -> Written:
    return with_store(url, lambda store: store.write_item(put("x"), VECTORS[0], "v", 0), ack=ack)


@pytest.mark.parametrize(
    ("config", "level"),
    [
        ({}, "everysec"),
        ({"appendonly": "no"}, "none"),
        ({"maxmemory-policy": "allkeys-lru"}, "none"),
        ({"maxmemory-policy": "volatile-ttl"}, "none"),
        ({"appendfsync": "no"}, "os"),
        ({"appendfsync": "always"}, "fsync"),
        ({"appendfsync": "always", "no-appendfsync-on-rewrite": "yes"}, "os"),
    ],
)
def test_its_configuration_tells_what_it_keeps(durable: str, config: Config, level: str) -> None:
    keep(durable, config)
    told = looked(durable, WriteAck())
    assert told.level == level
    fault = written(durable, WriteAck()).fault
    if level == "none":
        assert told.remedy
        assert any(f"set `{name} " in told.remedy for name in config)
    assert fault == told.remedy


def test_the_embedded_redis_has_every_write_on_disk(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as url:
        for ack in (WriteAck(), WriteAck("fsync")):
            assert looked(url, ack) == Durability("fsync")
            assert written(url, ack).fault is None


def test_a_redis_that_cannot_wait_for_its_disk_is_said_to_do_no_such_thing(durable: str) -> None:
    with redis.Redis.from_url(durable) as client:
        version = client.info("server")["redis_version"]
    if tuple(map(int, version.split(".")[:2])) >= (7, 2):
        pytest.skip(f"redis {version} can")
    told = looked(durable, WriteAck("fsync"))
    assert told.level == "everysec"
    assert "appendfsync always" in str(told.remedy)
    assert written(durable, WriteAck("fsync")).fault == told.remedy


def test_a_redis_that_can_is_waited_for(tmp_path: Path) -> None:
    try:
        binary = waitaof_server()
    except LookupError as missing:
        pytest.skip(str(missing))
    process, url = start_redis(tmp_path, "--appendonly", "yes", binary=binary)
    try:
        assert looked(url, WriteAck("fsync")) == Durability("fsync")
        assert written(url, WriteAck("fsync")).fault is None
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def replica(durable: str, tmp_path: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """A replica of the durable server."""
    keep(durable, {"repl-diskless-sync": "yes", "repl-diskless-sync-delay": "0"})
    folder = tmp_path / "replica"
    folder.mkdir()
    with redis.Redis.from_url(durable) as client:
        port = client.config_get("port")["port"]
        process, url = start_redis(folder, "--replicaof", "127.0.0.1", port)
        until = time.monotonic() + 30
        with redis.Redis.from_url(url) as other:
            while other.info("replication")["master_link_status"] != "up":
                assert time.monotonic() < until
                time.sleep(0.05)
    yield process
    process.kill()
    process.wait()


def test_a_write_waits_for_replicas_and_says_when_they_do_not_have_it(
    durable: str, replica: "subprocess.Popen[bytes]"
) -> None:
    ack = WriteAck("replica")
    assert looked(durable, ack) == Durability("replica")
    assert written(durable, ack).fault is None
    assert looked(durable, WriteAck("replica", 2)).level == "everysec"
    assert "1 of 2 replicas" in str(written(durable, WriteAck("replica", 2)).fault)
    replica.send_signal(signal.SIGSTOP)
    assert written(durable, ack).fault == f"0 of 1 replicas had it within {WAIT_MS} ms"
    assert written(durable, WriteAck()).fault is None
    replica.send_signal(signal.SIGCONT)
    keep(durable, {"appendonly": "no"})
    assert looked(durable, ack).level == "none"  # it would start empty, and empty the replica
    assert "appendonly" in str(written(durable, ack).fault)


def test_a_batch_waits_once_and_every_item_of_it_says_so(durable: str) -> None:
    async def use(store: Store) -> float:
        await store.link.look()
        begun_s = time.monotonic()
        pairs = [(put(one), VECTORS[0]) for one in "abcdefghijkl"]
        for answer in await store.write_items(pairs, "v", 0):
            assert isinstance(answer, Written)
            assert "0 of 1 replicas" in str(answer.fault)
        return time.monotonic() - begun_s

    assert (
        with_store(durable, use, ack=WriteAck("replica"), write_timeout_s=30) < 12 * WAIT_MS / 1e3
    )


def test_another_redis_at_the_same_place_is_asked_before_its_word_is_taken(tmp_path: Path) -> None:
    process, url = start_redis(tmp_path, "--appendonly", "yes")

    async def use(store: Store) -> None:
        nonlocal process
        assert (await store.write_item(put("x"), VECTORS[0], "v", 0)).fault is None
        process.kill()
        process.wait()
        process, same = start_redis(tmp_path)
        assert same == url
        await asyncio.sleep(0.1)  # in which the old connection is seen to end
        answer = await store.write_item(put("x"), VECTORS[0], "v", 0)
        assert "appendonly" in str(answer.fault)

    try:
        with_store(url, use)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("denied", "level"), [("-config", "os"), ("-info", None)])
def test_what_it_does_not_tell_is_not_made_up(durable: str, denied: str, level: str | None) -> None:
    with redis.Redis.from_url(durable) as client:
        client.acl_setuser("limited", enabled=True, passwords=["+pw"], keys=["*"])
        client.execute_command("ACL", "SETUSER", "limited", "+@all", denied)
    url = f"{durable}?username=limited&password=pw"
    if level is None:
        with pytest.raises(StoreUnavailable, match="info"):
            looked(url, WriteAck())
        return
    told = looked(url, WriteAck())
    assert told.level == level
    assert "allow CONFIG GET" in str(told.remedy)
    assert written(url, WriteAck()).fault is None


def test_waitaof_is_asked_only_where_it_makes_a_difference() -> None:
    old, always = (
        Keeping("7.0.15", True, "everysec", "noeviction", 0),
        Keeping("7.2.0", True, "always", "noeviction", 0),
    )
    for ack, keeping, asked in (
        (WriteAck(), GOOD, None),
        (WriteAck("fsync"), GOOD, ["WAITAOF", 1, 0, WAIT_MS]),
        (WriteAck("fsync"), old, None),
        (WriteAck("fsync"), always, None),
        (WriteAck("replica", 2), GOOD, ["WAIT", 2, WAIT_MS]),
    ):
        assert ack.call(keeping) == asked
    assert WriteAck("fsync").durability(GOOD) == Durability("fsync")
    assert WriteAck("fsync").fault(GOOD, [1, 0]) is None
    for reply in ([0, 0], None):
        assert "not on disk" in str(WriteAck("fsync").fault(GOOD, reply))
    assert WriteAck("fsync").fault(GOOD, redis.ResponseError("no")) == "no"


@pytest.mark.parametrize(("kind", "right"), [("fsync", "+waitaof"), ("replica", "+wait")])
def test_who_may_not_wait_has_what_redis_does_by_itself(kind: AckKind, right: str) -> None:
    ack = WriteAck(kind)
    refused = replace(GOOD, replicas=1, may_wait=False)
    told = Durability("everysec", f"redis does not let us wait: allow `{right}`")
    assert ack.durability(refused) == told
    assert ack.fault(refused, redis.exceptions.NoPermissionError("no")) == told.remedy
    always = replace(refused, fsyncs="always")
    assert ack.durability(always).level == "fsync"
    assert (ack.durability(always).remedy is None) == (kind == "fsync")
