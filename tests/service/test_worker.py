"""A worker, and what it looks after beside its requests."""

import asyncio
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from service import worker
from service.control import WorkerControl
from service.generation import Generation
from service.parts import Parts, UseCases
from service.pointer import activate_first
from service.settings import Settings
from service.watch import follow_pointer
from tests.service.running import Service, patient
from tests.tiny import tiny_bundle

pytestmark = pytest.mark.usefixtures("logging_as_it_was")


class Listening(WorkerControl):
    """A control that keeps what it is asked."""

    def __init__(self) -> None:
        alone = WorkerControl.alone()
        super().__init__(alone.channel, alone.lifeline, 0.0, 1.0)
        self._held = alone._held
        self.asked: list[str] = []

    def ask_handover(self, reason: str) -> None:
        self.asked.append(reason)


def test_what_is_loaded_becomes_the_current_version(
    redis_url: str, bundle_folder: Path, tmp_path: Path
) -> None:
    settings = Settings(redis=redis_url, bundle=bundle_folder, bundles=tmp_path)
    generation = worker.load(settings)
    assert generation is not None
    assert generation.version == "tiny-1"
    activate_first(settings, "another")
    again = worker.load(
        settings.model_copy(update={"bundle": None, "bundles": bundle_folder.parent})
    )
    assert again is not None
    assert again.version == "tiny-1"


def test_without_a_bundle_nothing_is_loaded(redis_url: str, tmp_path: Path) -> None:
    assert worker.load(Settings(redis=redis_url, bundles=tmp_path)) is None


@pytest.mark.parametrize(("days", "ttl_s"), [(0, -2), (3, 3 * 86_400)])
def test_the_mark_of_an_erased_user_is_kept_as_long_as_is_set(
    redis_url: str, redis_client: redis.Redis, generation: Generation, days: int, ttl_s: int
) -> None:
    async def main() -> None:
        settings = patient(redis_url).model_copy(update={"erased_kept_days": days})
        store = worker.open_store(settings, generation)
        await store.delete_user("u")
        await store.close()

    asyncio.run(main())
    marks = redis_client.keys("fs:erased:*") or ["none"]
    assert [redis_client.ttl(mark) for mark in marks] == [pytest.approx(ttl_s, abs=59)]


@pytest.mark.parametrize("is_waiting", [True, False])
def test_a_version_that_becomes_current_and_is_there_is_handed_over_to(
    redis_url: str, tmp_path: Path, generation: Generation, is_waiting: bool
) -> None:
    settings = Settings(redis=redis_url, bundles=tmp_path)
    control = Listening()
    cases: Any = None if is_waiting else UseCases(generation, *[None] * 6)  # type: ignore[arg-type]
    parts = Parts(settings, control, cases)
    follow_pointer(parts)
    activate_first(settings, "tiny-2")
    follow_pointer(parts)
    assert control.asked == []  # it is current, but its folder is not there
    tiny_bundle(tmp_path, "tiny-2")
    follow_pointer(parts)
    assert control.asked == ["version tiny-2 is current"]
    control.close()


def test_the_version_that_is_served_is_not_handed_over_to_again(
    redis_url: str, bundle_folder: Path, generation: Generation
) -> None:
    settings = Settings(redis=redis_url, bundles=bundle_folder.parent)
    activate_first(settings, "tiny-1")
    control = Listening()
    follow_pointer(Parts(settings, control, UseCases(generation, *[None] * 6)))  # type: ignore[arg-type]
    assert control.asked == []
    control.close()


def test_what_is_stored_is_served_from_the_first_request_on(
    redis_url: str, bundle_folder: Path
) -> None:
    settings = patient(redis_url)
    with Service(settings, Generation.load(bundle_folder)) as first:
        batch = [{"id": f"n{number}", "topics": ["art"]} for number in range(300)]
        assert first.post("/items?vector=false", {"items": batch}).status_code == 200
        first.ask("DELETE", "/items/i0")
    with Service(settings, Generation.load(bundle_folder)) as second:
        assert second.get("/readyz").json()["state"] == "ready"
        answer = second.post("/recall", {"user": {"taste": {"art": 1}}, "k": 1000}).json()
        assert {one["id"] for one in batch} <= set(answer["items"])
        assert "i0" not in answer["items"]


def test_a_worker_serves_over_its_socket_until_its_lifeline_is_cut(
    redis_url: str, generation: Generation
) -> None:
    settings = patient(redis_url).model_copy(update={"linger_s": 0})
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    far, near = socket.socketpair()
    control = WorkerControl.alone()
    held = control.lifeline
    control.lifeline = near
    serving = threading.Thread(
        target=worker.run_worker, args=(settings, generation, listener, control)
    )
    serving.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            answer = client.get("/recall", params={"user_id": "u 1", "k": 3})
            assert answer.json()["user_id"] == "u 1"
            one = client.get("/items/a%2Fb")
            assert (one.status_code, one.json()["id"]) == (404, "a/b")
            assert client.get("/items/%FF").status_code == 422
            raw = client.request("POST", "/recall", content=iter([b" " * 65536] * 40))
            assert raw.status_code == 413
    finally:
        far.close()
        serving.join(10)
    assert not serving.is_alive()
    held.close()
    control.close()
