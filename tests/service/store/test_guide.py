"""Whoever knows where the catalogue is may hang, lie or change their mind."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from service.redis.url import Address, read_url
from service.store import Store, StoreUnavailable
from service.store.connection import connect
from service.store.guide import ASK_S, SentinelGuide
from tests.service.store.servers import Sentinel, Server, eventually, is_replicating, running
from tests.service.store.test_redis import VECTORS, put, with_store

Pair = tuple[Server, Server]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Pair]:
    """Two servers that know nothing of each other."""
    one, other = Server(tmp_path / "one"), Server(tmp_path / "other")
    with running(one, other):
        yield one, other


@pytest.fixture
def sentinel(two: Pair, tmp_path: Path) -> Iterator[Sentinel]:
    """A Sentinel that watches the first of the two."""
    sentinel = Sentinel(tmp_path / "sentinel", two[0])
    with running(sentinel):
        yield sentinel


def url_of(*sentinels: Server, service: str = "ours") -> str:
    return f"redis+sentinel://{','.join(one.name for one in sentinels)}/{service}"


async def write(store: Store, one: str) -> None:
    await store.write_item(put(one), VECTORS[0], "v", 0)


async def write_until(store: Store, one: str, server: Server) -> None:
    """Write until it arrives at a server; what the guide knows is asked for as a worker does."""
    for _ in range(3000):
        try:
            await store.link.look()
            await write(store, one)
        except StoreUnavailable:
            await asyncio.sleep(0.02)
        if server.do("EXISTS", "{fs}:item:" + one):
            return
    raise AssertionError("it never arrived")


def test_connections_that_live_are_left_when_another_is_the_primary(
    two: Pair, sentinel: Sentinel
) -> None:
    one, other = two

    async def use(store: Store) -> None:
        await write(store, "a")
        assert one.do("EXISTS", "{fs}:item:a")
        sentinel.do("SENTINEL", "REMOVE", "ours")
        sentinel.do("SENTINEL", "MONITOR", "ours", "127.0.0.1", other.port, 1)
        await write(store, "b")  # nobody was asked since
        assert one.do("EXISTS", "{fs}:item:b")
        await store.link.look()
        await write(store, "c")
        assert other.do("EXISTS", "{fs}:item:c")
        assert not one.do("EXISTS", "{fs}:item:c")
        assert await store.revs.highest() == 1  # readers of the log, too

    with_store(url_of(sentinel), use)


def test_a_primary_that_was_made_a_replica_is_left(tmp_path: Path) -> None:
    primary = Server(tmp_path / "primary")
    with running(primary):
        replica = Server(tmp_path / "replica", "--replicaof", "127.0.0.1", str(primary.port))
        sentinel = Sentinel(tmp_path / "sentinel", primary)
        with running(replica, sentinel):
            eventually(lambda: is_replicating(replica) and sentinel.replicas() == 1)

            async def use(store: Store) -> None:
                await write(store, "a")
                sentinel.do("SENTINEL", "FAILOVER", "ours")
                eventually(lambda: sentinel.primary() == replica.port)
                await write_until(store, "b", replica)
                assert not store.link.is_open
                assert await store.revs.highest() >= 2

            with_store(url_of(sentinel), use)


def test_a_server_that_says_readonly_is_left_though_nobody_closed_the_connection(
    two: Pair, sentinel: Sentinel
) -> None:
    one, other = two

    async def use(store: Store) -> None:
        await write(store, "a")
        sentinel.do("SENTINEL", "REMOVE", "ours")
        sentinel.do("SENTINEL", "MONITOR", "ours", "127.0.0.1", other.port, 1)
        one.do("REPLICAOF", "127.0.0.1", other.port)
        with pytest.raises(StoreUnavailable, match=r"(?i)readonly"):
            await write(store, "b")
        await write(store, "c")  # without look()
        assert other.do("EXISTS", "{fs}:item:c")

    with_store(url_of(sentinel), use)


def test_a_sentinel_that_hangs_costs_its_time_once(
    two: Pair, sentinel: Sentinel, tmp_path: Path
) -> None:
    hung = Sentinel(tmp_path / "hung", two[0])
    with running(hung):
        assert hung.process is not None
        hung.process.send_signal(signal.SIGSTOP)

        async def use(store: Store) -> None:
            with pytest.raises(StoreUnavailable):
                await store.link.ping()
            await asyncio.sleep(2 * ASK_S)  # it is asked on, whoever waits for it
            for _ in range(200):
                try:
                    await store.link.ping()
                    break
                except StoreUnavailable:  # a busy machine
                    await asyncio.sleep(0.05)
            else:
                raise AssertionError("the other is never asked")
            await write(store, "a")

        with_store(url_of(hung, sentinel), use, timeout_s=0.1)


def test_a_service_that_no_sentinel_watches_is_named(sentinel: Sentinel) -> None:
    async def use(store: Store) -> None:
        with pytest.raises(StoreUnavailable, match="no service 'theirs'"):
            await store.link.ping()

    with_store(url_of(sentinel, service="theirs"), use)


def test_a_sentinel_has_a_password_of_its_own(two: Pair, tmp_path: Path) -> None:
    guarded = Sentinel(tmp_path / "guarded", two[0], "requirepass s/e")
    guarded.password = "s/e"
    two[0].do("ACL", "SETUSER", "me", "on", ">p", "~*", "+@all")
    rights = "?sentinel_password=s%2Fe"
    with running(guarded):
        right = url_of(guarded).replace("//", "//me:p@") + rights
        with_store(right, lambda store: store.link.ping())
        for wrong in (url_of(guarded), url_of(guarded) + "?password=s%2Fe"):
            with pytest.raises(StoreUnavailable, match="nobody tells"):
                with_store(wrong, lambda store: store.link.ping())
        with pytest.raises(StoreUnavailable, match="(?i)password"):
            with_store(right.replace("me:p@", "me:q@"), lambda store: store.link.ping())


def test_a_replica_is_not_taken_for_the_primary_whatever_was_told(two: Pair) -> None:
    one, other = two
    other.do("REPLICAOF", "127.0.0.1", one.port)
    told = [other, one]

    class Told(SentinelGuide):
        async def _read(self, client: Redis, asked: Address) -> Address:
            return "127.0.0.1", told.pop(0).port

    async def main() -> None:
        url = read_url("redis+sentinel://a/ours")
        guide = Told(url, lambda _: Redis())
        client = connect(url, 5.0, 1, guide=guide)
        with pytest.raises(RedisConnectionError, match="no primary"):
            await client.ping()
        assert await client.ping()
        await client.aclose()
        await guide.close()

    asyncio.run(main())


def test_who_stops_waiting_for_an_answer_stops_nobody_else(two: Pair, sentinel: Sentinel) -> None:
    async def use(store: Store) -> None:
        calls = [asyncio.create_task(store.revs.highest()) for _ in range(4)]
        await asyncio.sleep(0)
        calls[0].cancel()
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(done[0], asyncio.CancelledError)
        assert done[1:] == [0, 0, 0]

    with_store(url_of(sentinel), use)
