"""An erased user is nowhere: not in Redis or its rewritten file, snapshots, metrics or the log."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from service.redis.embedded import socket_path
from tests.end_to_end.processes import Served
from tests.tiny import tiny_bundle

CANARY = "canary-u-4711"
COUNTRY = "canary-country-4711"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    told = {"snapshot_s": 0.2, "snapshot_entries": 1}
    served = Served(tmp_path / "data", tiny_bundle(tmp_path / "bundles"), **told)
    yield served
    served.kill()


def live(served: Served) -> None:
    """Let a user do all that a service can be asked about one."""
    record = {"country": COUNTRY, "recent": ["i1", "i2"]}
    assert served.ask("PUT", f"/users/{CANARY}", record)[0] == 201
    assert served.ask("PATCH", f"/users/{CANARY}", {"age": 7})[0] == 200
    assert served.ask("GET", f"/recall?user_id={CANARY}&debug=true")[0] == 200
    asked = {"user_id": CANARY, "history": ["i3"], "user": record, "debug": True}
    assert served.ask("POST", "/recall", asked)[0] == 200
    assert served.ask("POST", "/recall/batch", {"requests": [asked, asked]})[0] == 200
    assert served.ask("POST", "/embed", {"users": [{"id": CANARY, **record}]})[0] == 200
    assert served.ask("PUT", f"/users/{CANARY}", {"shoes": COUNTRY})[0] == 422
    assert served.ask("POST", "/items", {"id": "new", "topics": ["art"]})[0] == 201


def files_with(folder: Path, text: str) -> list[str]:
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and text.encode() in path.read_bytes()
    ]


def rewrite(client: redis.Redis) -> None:
    client.bgrewriteaof()
    until_s = time.monotonic() + 10
    while client.info("persistence")["aof_rewrite_in_progress"]:
        assert time.monotonic() < until_s
        time.sleep(0.02)


def test_nothing_of_an_erased_user_is_left(served: Served, tmp_path: Path) -> None:
    data = tmp_path / "data"
    live(served)
    assert files_with(data, CANARY)  # in Redis' file: it is where to look
    assert served.ask("DELETE", f"/users/{CANARY}")[0] == 204
    assert served.ask("GET", f"/users/{CANARY}")[0] == 404
    assert CANARY not in served.read("/metrics")
    with redis.Redis.from_url(f"unix://{socket_path(data / 'redis')}") as client:
        assert not [key for key in client.scan_iter() if CANARY.encode() in key]
        rewrite(client)
    assert served.stop() == 0
    assert list(data.rglob("items.parquet"))  # a snapshot, too, was looked through
    assert files_with(data, CANARY) == []
    assert files_with(data, COUNTRY) == []
