"""The breaker opens on silence and on nothing else, and probes by itself."""

import asyncio
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable

import pytest
import redis
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from service.redis.url import read_url
from service.store import Store, StoreUnavailable
from service.store.breaker import FAILURES, Breaker
from service.store.connection import connect
from tests.service.store.test_redis import VECTORS, put, with_store

OwnRedis = tuple["subprocess.Popen[bytes]", str]
Use = Callable[[Breaker, Redis], Awaitable[None]]


def with_breaker(url: str, use: Use, timeout_s: float) -> list[bool]:
    """Use a breaker; return whether it was open after each of its changes."""

    async def run() -> None:
        client = connect(read_url(url), 10.0, connections=4)
        breaker = Breaker("reads", client, timeout_s, lambda: changes.append(breaker.is_open))
        try:
            await use(breaker, client)
        finally:
            await breaker.close()
            await client.aclose()

    changes: list[bool] = []
    asyncio.run(run())
    return changes


async def ask(breaker: Breaker, client: Redis) -> str:
    try:
        async with breaker.answering():
            await client.get("a")
    except StoreUnavailable as error:
        return str(error)
    return ""


async def until_closed(breaker: Breaker) -> None:
    async with asyncio.timeout(30):
        while breaker.is_open:
            await asyncio.sleep(0.01)


def test_it_opens_after_silence_refuses_at_once_and_closes_when_redis_is_back(
    own_redis: OwnRedis,
) -> None:
    process, url = own_redis

    async def use(breaker: Breaker, client: Redis) -> None:
        assert await ask(breaker, client) == ""
        process.send_signal(signal.SIGSTOP)
        for _ in range(FAILURES):
            assert not breaker.is_open
            assert "open" not in await ask(breaker, client)
        assert breaker.is_open
        begun_s = time.monotonic()
        for _ in range(1000):
            assert await ask(breaker, client) == "the breaker of reads is open"
        # One call that is tried takes 0.1 s.
        assert time.monotonic() - begun_s < 50
        await asyncio.sleep(1.5)  # of probes that are not answered
        assert breaker.is_open
        process.send_signal(signal.SIGCONT)
        await until_closed(breaker)  # nobody asks meanwhile
        assert await ask(breaker, client) == ""

    assert with_breaker(url, use, timeout_s=0.1) == [True, False]


def test_a_refused_connection_is_silence_too() -> None:
    async def use(breaker: Breaker, client: Redis) -> None:
        for _ in range(FAILURES):
            await ask(breaker, client)
        assert breaker.is_open

    assert with_breaker("unix:///nowhere/redis.sock", use, timeout_s=5.0) == [True]


def test_an_error_is_a_reply(redis_url: str, redis_client: redis.Redis) -> None:
    redis_client.lpush("a", "no string")

    async def use(breaker: Breaker, client: Redis) -> None:
        for _ in range(3 * FAILURES):
            assert "WRONGTYPE" in await ask(breaker, client)

    assert with_breaker(redis_url, use, timeout_s=10.0) == []


def test_one_reply_makes_up_for_earlier_silence(own_redis: OwnRedis) -> None:
    process, url = own_redis

    async def use(breaker: Breaker, client: Redis) -> None:
        for _ in range(3):
            process.send_signal(signal.SIGSTOP)
            for _ in range(FAILURES - 1):
                assert await ask(breaker, client) != ""
            process.send_signal(signal.SIGCONT)
            while await ask(breaker, client):  # the machine may be busy
                assert not breaker.is_open

    assert with_breaker(url, use, timeout_s=0.3) == []


def test_a_call_that_is_given_up_tells_nothing(own_redis: OwnRedis) -> None:
    process, url = own_redis

    async def use(breaker: Breaker, client: Redis) -> None:
        process.send_signal(signal.SIGSTOP)
        for _ in range(FAILURES - 1):
            await ask(breaker, client)
        for _ in range(FAILURES):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(ask(breaker, client), 0.02)
        assert not breaker.is_open
        await ask(breaker, client)
        assert breaker.is_open

    assert with_breaker(url, use, timeout_s=0.3) == [True]


def test_a_call_is_bounded_as_a_whole(own_redis: OwnRedis) -> None:
    process, url = own_redis

    async def use(breaker: Breaker, client: Redis) -> None:
        process.send_signal(signal.SIGSTOP)
        begun_s = time.monotonic()
        await asyncio.gather(*(ask(breaker, client) for _ in range(12)))  # of 4 connections
        # Waiting for a connection, making it and asking are bounded by 10 s each.
        assert time.monotonic() - begun_s < 8

    with_breaker(url, use, timeout_s=0.2)


def test_recalls_and_calls_by_id_are_refused_apart_and_the_gauge_tells_of_both(
    own_redis: OwnRedis,
) -> None:
    process, url = own_redis

    def gauge() -> float | None:
        return REGISTRY.get_sample_value("firstsight_breaker_open")

    async def use(store: Store) -> None:
        assert gauge() == 0
        process.send_signal(signal.SIGSTOP)
        for _ in range(FAILURES):
            with pytest.raises(StoreUnavailable):
                await store.get_users(["u"])
        assert store.link.is_open
        assert gauge() == 1
        write = asyncio.create_task(store.write_item(put("x"), VECTORS[0], "v", 0))
        read = asyncio.create_task(store.get_user("u"))
        await asyncio.sleep(0.2)
        assert not write.done()  # a write is waited for longer than a read
        assert not read.done()  # and so is one user who is asked for by id
        process.send_signal(signal.SIGCONT)
        await write
        assert await read is None
        async with asyncio.timeout(30):
            while gauge():
                await asyncio.sleep(0.01)
        assert await store.get_users(["u"]) == [None]

    with_store(url, use, timeout_s=0.05)
