"""What a Redis loses that leaves syncing to the kernel, or keeps no file: told, and made good.

A kill alone loses nothing that was handed to the kernel. A power cut does: here the end of the
append-only file is cut off while Redis is down, as if the disk had never had it.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from benchmarks.soak.replicas import metric
from tests.end_to_end.processes import Served, recalled
from tests.faults.own_redis import OwnRedis, eventually
from tests.tiny import tiny_bundle

KEPT, LOST = 20, 10
ANNOUNCED = ("firstsight_reconciled_total", '{was="announced"}')


@contextlib.contextmanager
def running(folder: Path, *options: str) -> Iterator[tuple[OwnRedis, Served]]:
    with OwnRedis(folder / "redis", *options) as server:
        bundle = tiny_bundle(folder / "bundles")
        served = Served(folder / "data", bundle, "--redis", server.url)
        try:
            yield server, served
        finally:
            served.kill()


def post(served: Served, *numbers: int) -> None:
    for number in numbers:
        status, told = served.ask("POST", "/items", {"id": f"x{number}", "topics": ["art"]})
        assert status == 201, told


def post_when_it_may(served: Served, number: int) -> bool:
    body = {"id": f"x{number}", "topics": ["art"]}
    return served.ask("POST", "/items", body)[0] in (200, 201)


def suspend(served: Served) -> None:
    for process in served.family():
        process.suspend()


def resume(served: Served) -> None:
    for process in served.family():
        process.resume()


def stored(server: OwnRedis) -> set[str]:
    with redis.Redis(port=server.port) as client:
        return {one.decode() for one in client.zrange("{fs}:items", 0, -1)}


def file_of(server: OwnRedis) -> Path:
    [path] = [path for path in server.folder.rglob("*.aof*") if path.suffix != ".manifest"]
    return path


def test_a_kill_of_a_redis_that_never_syncs_loses_nothing_that_was_acknowledged(
    tmp_path: Path,
) -> None:
    with running(tmp_path, "--appendfsync", "no") as (server, served):
        assert served.ask("GET", "/readyz")[1]["durability"] == "os"
        post(served, *range(KEPT))
        suspend(served)  # so that nobody makes good what Redis has lost
        server.kill()
        server.start()
        assert stored(server) == {f"x{number}" for number in range(KEPT)}


@pytest.mark.parametrize(
    ("loses", "is_written_first"), [("all", False), ("end", False), ("end", True)]
)
def test_what_redis_lost_is_told_announced_again_and_served_all_the_while(
    tmp_path: Path, loses: str, is_written_first: bool
) -> None:
    options = ("--appendfsync", "no") if loses == "end" else ("--appendonly", "no")
    with running(tmp_path, *options) as (server, served):
        ready = served.ask("GET", "/readyz")[1]
        assert ready["durability"] == ("os" if loses == "end" else "none")
        assert (ready["remedy"] is None) == (loses == "end")
        post(served, *range(KEPT))
        if is_written_first:  # all was read where the log began, so there is a reconciliation
            time.sleep(2.5)
        kept = file_of(server).stat().st_size if loses == "end" else 0
        post(served, *range(KEPT, KEPT + LOST))
        if is_written_first:
            suspend(served)
        server.kill()
        if loses == "end":
            with file_of(server).open("r+b") as file:
                file.truncate(kept + 17)  # in the middle of a command
        server.start()
        if is_written_first:  # the log goes on behind the gap before anybody has looked
            with redis.Redis(port=server.port) as client:
                client.xadd("{fs}:log", {"format": 1, "id": "i1", "rev": 1, "op": "put"})
            resume(served)
        everything = {f"x{number}" for number in range(KEPT + LOST)}
        eventually(lambda: everything <= stored(server), 30)
        lost = LOST if loses == "end" else KEPT + LOST
        eventually(lambda: metric(served, *ANNOUNCED) == lost, 30)
        told = served.log.read_text()
        assert told.count("log has a gap or was reset") == 1  # and not where it began
        assert f'"announced": {lost}' in told
        assert all(recalled(served, one) for one in everything)
        eventually(lambda: post_when_it_may(served, KEPT + LOST), 30)
