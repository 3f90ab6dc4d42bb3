"""Short conversations find their server by whoever answers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from service.redis.client import find_one, find_slots, talking
from service.redis.url import RedisUrl, read_url
from tests.service.store.servers import SLOTS, Sentinel, Server, running

TIMEOUT_S = 5.0
NOBODY = "127.0.0.1:1"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "server")
    with running(server):
        yield server


@pytest.fixture
def sentinel(server: Server, tmp_path: Path) -> Iterator[Sentinel]:
    sentinel = Sentinel(tmp_path / "sentinel", server)
    with running(sentinel):
        yield sentinel


def put_and_get(url: RedisUrl, key: str) -> object:
    with talking(url, key, TIMEOUT_S) as client:
        client.set(key, "x")
    with talking(url, key, TIMEOUT_S) as client:
        return client.get(key)


def test_a_server_is_spoken_to_in_its_database(server: Server) -> None:
    assert put_and_get(read_url(f"{server.url}/3"), "a") == b"x"
    with server.client(db=3) as client:
        assert client.keys() == [b"a"]


def test_sentinels_that_do_not_answer_are_passed_over(server: Server, sentinel: Sentinel) -> None:
    url = read_url(f"redis+sentinel://{NOBODY},{sentinel.name}/ours")
    assert find_one(url, TIMEOUT_S) == ("127.0.0.1", server.port)
    assert put_and_get(url, "a") == b"x"


def test_where_no_sentinel_helps_all_are_told_of(sentinel: Sentinel) -> None:
    url = read_url(f"redis+sentinel://{NOBODY},{sentinel.name}/theirs")
    with pytest.raises(redis.ConnectionError) as caught:
        find_one(url, TIMEOUT_S)
    assert NOBODY in str(caught.value)
    assert f"{sentinel.name}: it watches no service 'theirs'" in str(caught.value)


def test_a_key_whose_slot_nobody_has_is_found_nowhere(tmp_path: Path) -> None:
    node = Server(tmp_path, "--cluster-enabled", "yes")
    with running(node):
        node.do("CLUSTER", "ADDSLOTS", *range(SLOTS - 1))
        url = read_url(f"redis+cluster://{NOBODY},{node.name}")
        slots = find_slots(url, TIMEOUT_S)
        assert slots.nodes == [("127.0.0.1", node.port)]
        assert slots.of(b"{fs}:current") == ("127.0.0.1", node.port)
        last = next(f"k{n}" for n in range(10**6) if redis.crc.key_slot(b"k%d" % n) == SLOTS - 1)
        with pytest.raises(redis.ConnectionError, match="slot 16383"), talking(url, last, 1.0):
            raise AssertionError("there is no such server")
