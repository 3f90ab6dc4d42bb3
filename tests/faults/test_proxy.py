"""The proxy does what its faults are called."""

import time
from collections.abc import Iterator

import pytest
import redis

from tests.faults.own_redis import ONCE, OwnRedis
from tests.faults.proxy import Proxy


@pytest.fixture
def proxy(server: OwnRedis) -> Iterator[Proxy]:
    with Proxy(("127.0.0.1", server.port), delay_s=0.5) as proxy:
        yield proxy


def client(proxy: Proxy, timeout_s: float = 10.0) -> redis.Redis:
    return redis.Redis(port=proxy.port, socket_timeout=timeout_s, retry=ONCE)


def test_it_passes_and_counts(proxy: Proxy) -> None:
    with client(proxy) as line:
        line.set("a", "1")
        assert line.mget(["a", "b"]) == [b"1", None]
    assert proxy.words[b"MGET"] == 1


def test_it_delays(proxy: Proxy) -> None:
    with client(proxy) as line:
        line.ping()
        proxy.fault = "delay"
        begun_s = time.monotonic()
        line.ping()
        assert time.monotonic() - begun_s >= 0.5


def test_it_hangs_and_goes_on(proxy: Proxy) -> None:
    with client(proxy, 0.3) as line:
        line.ping()
        proxy.fault = "hang"
        with pytest.raises(redis.TimeoutError):
            line.ping()
    proxy.fault = "pass"
    with client(proxy) as line:
        assert line.ping()


def test_it_cuts_a_reply_in_the_middle(proxy: Proxy) -> None:
    with client(proxy) as line:
        line.set("a", "x" * 1000)
        proxy.fault = "cut"
        with pytest.raises(redis.ConnectionError):
            line.get("a")


def test_it_duplicates(proxy: Proxy) -> None:
    with client(proxy) as line:
        line.set("a", "1")
        proxy.fault = "duplicate"
        assert line.get("a") == b"1"
        assert line.get("nothing there") == b"1"  # the reply before
