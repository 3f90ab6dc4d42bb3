"""Two services on one Redis: what one takes, the other serves; and nothing acknowledged is lost."""

import threading
import time
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.end_to_end.processes import Served, recalled, redis_url, serve_pair
from tests.tiny import tiny_bundle

POSTS = 200


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Served, Served]]:
    with serve_pair(tmp_path) as found:
        yield found


def post(served: Served, item: str) -> dict[str, object]:
    status, answer = served.ask("POST", "/items", {"id": item, "topics": ["art"]})
    assert status in (200, 201), answer
    assert answer["searchable"]
    assert answer["durable"]
    return dict(answer)


def test_what_one_takes_the_other_finds_at_once(pair: tuple[Served, Served]) -> None:
    first, second = pair
    for number in range(POSTS):
        item = f"new-{number}"
        posted = post(first, item)
        assert recalled(second, item, after=posted["log_id"]), item


def test_what_one_takes_the_other_finds_within_a_second_unasked(
    pair: tuple[Served, Served],
) -> None:
    first, second = pair
    for number in range(POSTS):
        item = f"new-{number}"
        post(first, item)
        until = time.monotonic() + 1.0
        while not recalled(second, item):
            assert time.monotonic() < until, item


def test_nothing_acknowledged_is_lost_when_everything_is_killed(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundles")
    first = Served(tmp_path / "first", bundle)
    second = Served(tmp_path / "second", bundle, "--redis", redis_url(first))
    acknowledged: list[str] = []

    def keep_posting(served: Served, name: str) -> None:
        for number in range(100_000):
            try:
                post(served, f"{name}-{number}")
            except (OSError, HTTPException, AssertionError, ValueError):  # killed meanwhile
                return
            acknowledged.append(f"{name}-{number}")

    writers = [
        threading.Thread(target=keep_posting, args=(served, name))
        for served, name in ((first, "first"), (second, "second"))
    ]
    for writer in writers:
        writer.start()
    while len(acknowledged) < 100:
        time.sleep(0.01)
    first.kill()
    second.kill()
    for writer in writers:
        writer.join(timeout=30)
    before = list(acknowledged)[:900]
    assert any(one.startswith("second") for one in before)
    again = Served(tmp_path / "first", bundle)
    try:
        status, answer = again.ask("POST", "/recall", {"user": {"taste": {"art": 1.0}}, "k": 1000})
        assert status == 200
        lost = [one for one in before if again.ask("GET", f"/items/{one}")[0] != 200]
        assert not lost
        assert not set(before) - set(answer["items"]) or len(acknowledged) > 900
        assert again.stop() == 0
    finally:
        again.kill()


def test_no_process_of_a_service_holds_torch(pair: tuple[Served, Served]) -> None:
    for served in pair:
        for process in served.family():
            if "redis" in process.name():
                continue
            mapped = [one.path for one in process.memory_maps()]
            assert any("python" in path for path in mapped)
            assert not [path for path in mapped if "torch" in path]
