"""A worker, and what it looks after beside its requests."""

import asyncio
import json
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from service.generation import Generation
from service.processes import worker
from service.processes.control import WorkerControl
from service.processes.loaded import Loaded
from service.redis.policy import RedisRefused
from service.rollout.pointer_store import activate_first, change_pointer, read_pointer
from service.settings import Settings
from service.stores import open_store
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
    loaded = worker.load(settings)
    assert loaded is not None
    assert [*loaded.generations] == ["tiny-1"]
    activate_first(settings, "another")
    again = worker.load(
        settings.model_copy(update={"bundle": None, "bundles": bundle_folder.parent})
    )
    assert again is not None
    assert [*again.generations] == ["tiny-1"]


def test_of_a_version_that_is_replaced_for_good_no_vectors_stay_in_redis(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    settings = patient(redis_url).model_copy(update={"bundles": tmp_path})
    for number in range(4):
        tiny_bundle(tmp_path, f"v-{number}")
    for number in range(4):
        before = read_pointer(settings)
        if before is None:
            activate_first(settings, "v-0")
        else:
            change_pointer(settings, before, before.activated(f"v-{number}"))
        loaded = worker.load(settings)
        with Service(settings, loaded) as running:
            assert (
                running.post("/items", {"id": f"n{number}", "topics": ["art"]}).status_code == 201
            )
    keys: list[Any] = redis_client.keys("{fs}:vec:*")
    kept = {key.decode().split(":")[2] for key in keys}
    assert kept == {"v-2", "v-3"}  # what a rollback goes back to has its own


def test_a_redis_that_evicts_is_refused_unless_others_serve_with_it(
    redis_url: str, redis_client: redis.Redis, bundle_folder: Path
) -> None:
    settings = Settings(redis=redis_url, bundles=bundle_folder.parent)
    activate_first(settings, "tiny-1")
    redis_client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(RedisRefused, match="noeviction"):
            worker.load(settings)
        assert worker.load(settings, served=["tiny-0"]) is not None
    finally:
        redis_client.config_set("maxmemory-policy", "noeviction")


def test_without_a_bundle_nothing_is_loaded(redis_url: str, tmp_path: Path) -> None:
    assert worker.load(Settings(redis=redis_url, bundles=tmp_path)) is None


@pytest.mark.parametrize("kept", [0, 2])
def test_a_data_folder_that_takes_no_snapshot_is_told_at_the_start_and_serving_goes_on(
    redis_url: str,
    bundle_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    kept: int,
) -> None:
    (tmp_path / "file").touch()
    settings = Settings(
        redis=redis_url, bundle=bundle_folder, data_folder=tmp_path, bundles=tmp_path
    )
    settings = settings.model_copy(update={"snapshots_kept": kept})
    assert worker.load(settings) is not None
    assert "snapshots cannot be written" not in capsys.readouterr().err
    assert worker.load(settings.model_copy(update={"data_folder": tmp_path / "file"})) is not None
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    warned = [line for line in told if "snapshots cannot be written" in line["message"]]
    assert len(warned) == (1 if kept else 0)
    assert all("FIRSTSIGHT_DATA_FOLDER" in line["remedy"] for line in warned)
    assert all("Not a directory" in line["reason"] for line in warned)


@pytest.mark.parametrize(("days", "ttl_s"), [(0, -2), (3, 3 * 86_400)])
def test_the_mark_of_an_erased_user_is_kept_as_long_as_is_set(
    redis_url: str, redis_client: redis.Redis, generation: Generation, days: int, ttl_s: int
) -> None:
    async def main() -> None:
        settings = patient(redis_url).model_copy(update={"erased_kept_days": days})
        store = open_store(settings, generation)
        await store.delete_user("u")
        await store.link.close()

    asyncio.run(main())
    marks = redis_client.keys("fs:erased:*") or ["none"]
    assert [redis_client.ttl(mark) for mark in marks] == [pytest.approx(ttl_s, abs=59)]


@pytest.mark.parametrize(("days", "ttl_s"), [(0, -1), (3, 3 * 86_400)])
def test_a_user_is_kept_as_long_as_is_set(
    redis_url: str, redis_client: redis.Redis, generation: Generation, days: int, ttl_s: int
) -> None:
    settings = patient(redis_url).model_copy(update={"users_kept_days": days})
    with Service(settings, generation) as service:
        for method, status in (("PUT", 201), ("PATCH", 200)):
            assert service.ask(method, "/users/u", json={}).status_code == status
            assert redis_client.ttl("fs:user:u") == pytest.approx(ttl_s, abs=59)


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
        target=worker.run_worker, args=(settings, Loaded.alone(generation), listener, control)
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
