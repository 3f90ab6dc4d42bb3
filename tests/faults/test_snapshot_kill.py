"""Processes of a real service are killed while items are posted and snapshots are written."""

import contextlib
import json
import random
import threading
import time
from http.client import HTTPException
from pathlib import Path

import psutil
import pytest
import redis

from tests.end_to_end.processes import Served, recalled
from tests.tiny import tiny_bundle

ROUNDS = 4


class Poster(threading.Thread):
    """Posts one item after the other, and notes each that was acknowledged."""

    def __init__(self, served: Served) -> None:
        super().__init__()
        self.served = served
        self.acknowledged: list[str] = []
        self.ends = False

    def run(self) -> None:
        for n in range(100_000):
            if self.ends:
                return
            with contextlib.suppress(OSError, HTTPException, ValueError):  # killed meanwhile
                posted = {"id": f"new-{n}", "topics": ["art"]}
                status, _ = self.served.ask("POST", "/items", posted)
                if status in (200, 201):
                    self.acknowledged.append(f"new-{n}")

    def wait_for_more(self, count: int) -> None:
        wanted, until_s = len(self.acknowledged) + count, time.monotonic() + 60
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < until_s, "nothing is acknowledged any more"
            time.sleep(0.01)


def redis_of(served: Served) -> str:
    for process in served.family():
        if "redis-server" in process.name():
            for connection in process.net_connections(kind="unix"):
                if connection.laddr:
                    return f"unix://{connection.laddr}"
    raise AssertionError("no embedded redis-server")


def numbers(data: Path) -> list[str]:
    folder = data / "snapshots" / "fs" / "tiny-1"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def logged(served: Served, message: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in served.log.read_text().splitlines() if line[:1] == "{"]
    return [line for line in lines if line["message"] == message]


def eventually_alike(served: Served, count: int) -> None:
    """Check that every worker comes to tell the same checksum, of so many items in Redis."""
    with redis.Redis.from_url(redis_of(served)) as client:
        assert client.zcard("{fs}:items") >= count
    until_s = time.monotonic() + 30
    while True:
        told = [served.ask("GET", "/readyz") for _ in range(12)]
        bodies = {json.dumps(body) for status, body in told if status == 200}
        if len(bodies) == 1 and all(status == 200 for status, _ in told):
            return
        assert time.monotonic() < until_s, bodies
        time.sleep(0.1)


def test_every_acknowledged_item_is_recalled_after_workers_and_all_were_killed(
    tmp_path: Path,
) -> None:
    bundle, data, rng = tiny_bundle(tmp_path / "bundles"), tmp_path / "data", random.Random(3)
    often = {"snapshot_entries": 20, "snapshot_s": 1, "reconcile_s": 1}
    served = Served(data, bundle, "--workers", "2", **often)
    poster = Poster(served)
    poster.start()
    try:
        for _ in range(ROUNDS):
            poster.wait_for_more(15)
            with contextlib.suppress(psutil.NoSuchProcess, IndexError):
                rng.choice(served.workers()).kill()
        until_s = time.monotonic() + 30
        while not any(name.isdigit() for name in numbers(data)):
            assert time.monotonic() < until_s, "no snapshot was written"
            time.sleep(0.05)
        poster.wait_for_more(15)
        served.kill()  # at whatever step of a snapshot that is
    finally:
        poster.ends = True
        poster.join(timeout=60)
        served.kill()
    again = Served(data, bundle, "--workers", "2", **often)
    try:
        assert logged(again, "snapshot restored")
        acknowledged = poster.acknowledged
        assert len(acknowledged) >= 15 * ROUNDS
        lost = [one for one in acknowledged if again.ask("GET", f"/items/{one}")[0] != 200]
        assert lost == []
        for one in acknowledged[-5:]:
            assert recalled(again, one)
        eventually_alike(again, len(acknowledged))
        assert again.stop() == 0
        assert all(name.isdigit() for name in numbers(data)), "leftovers of a killed writer"
    finally:
        again.kill()


@pytest.mark.parametrize("last", ["drained", "killed"])
def test_a_service_begins_with_its_snapshot_and_drains_with_a_new_one(
    tmp_path: Path, last: str
) -> None:
    bundle, data = tiny_bundle(tmp_path / "bundles"), tmp_path / "data"
    served = Served(data, bundle)
    try:
        for n in range(5):
            assert served.ask("POST", "/items", {"id": f"x{n}", "topics": ["art"]})[0] == 201
        checksum = served.ask("GET", "/readyz")[1]["checksum"]
        if last == "drained":
            assert served.stop() == 0
    finally:
        served.kill()
    assert numbers(data) == (["00000001"] if last == "drained" else [])
    again = Served(data, bundle)
    try:
        assert len(logged(again, "snapshot restored")) == (1 if last == "drained" else 0)
        body = again.ask("GET", "/readyz")[1]
        assert (body["checksum"], body["state"]) == (checksum, "ready")
        assert all(recalled(again, f"x{n}") for n in range(5))
    finally:
        again.kill()
