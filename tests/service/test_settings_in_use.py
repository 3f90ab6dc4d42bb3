"""Settings change what the service does, each in the direction that its page says."""

import asyncio
import contextlib
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from prometheus_client import REGISTRY

from export.contract.errors import ConfigError
from service.app import create_app
from service.generation import Generation
from service.processes import worker
from service.processes.control import WorkerControl
from service.processes.loaded import Loaded
from service.records import ItemRecord, UserRecord
from service.rollout.pointer import first_pointer
from service.rollout.pointer_store import activate_first, read_pointer
from service.settings import Limits, Settings, read_settings
from service.store import StoreUnavailable
from service.stores import open_link, open_store
from service.supervisor import bind
from tests.service.running import Service, lifespan, patient

OwnRedis = tuple["subprocess.Popen[bytes]", str]

LIMITED: dict[str, tuple[int, tuple[str, str, dict[str, Any]], int]] = {
    # setting: a value, a request that the default allows, its status then
    "body_bytes": (20, ("POST", "/recall", {"json": {"user": {"country": "de"}}}), 413),
    "batch_body_bytes": (20, ("POST", "/items", {"json": {"items": [{"id": "i1"}]}}), 413),
    "query_bytes": (10, ("GET", "/recall?user_id=u1234567", {}), 422),
    "items": (1, ("POST", "/embed", {"json": {"items": [{}, {}]}}), 422),
    "requests": (1, ("POST", "/recall/batch", {"json": {"requests": [{}, {}]}}), 422),
    "k": (5, ("POST", "/recall", {"json": {"k": 6}}), 422),
    "exclude": (1, ("POST", "/recall", {"json": {"k": 1, "exclude": ["a", "b"]}}), 422),
    "history": (1, ("POST", "/recall", {"json": {"k": 1, "history": ["a", "b"]}}), 422),
}
OF_SITUATIONS = {"body_timeout_s", "in_flight"}  # tests/service/test_contract.py


pytestmark = pytest.mark.usefixtures("logging_as_it_was")


def with_limits(url: str, **limits: int) -> Settings:
    return patient(url).model_copy(update={"limits": Limits.model_validate(limits)})


def test_every_limit_is_in_the_table() -> None:
    assert LIMITED.keys() | OF_SITUATIONS == set(Limits.model_fields)


@pytest.mark.parametrize("name", LIMITED)
def test_a_lower_limit_refuses_what_the_default_allows(
    redis_url: str, generation: Generation, name: str
) -> None:
    value, (method, path, options), status = LIMITED[name]
    with Service(patient(redis_url), generation) as service:
        assert service.ask(method, path, **options).status_code == 200
    with Service(with_limits(redis_url, **{name: value}), generation) as service:
        assert service.ask(method, path, **options).status_code == status


def test_k_is_how_many_items_come_to_who_does_not_say(
    redis_url: str, generation: Generation
) -> None:
    settings = patient(redis_url).model_copy(update={"k": 7})
    with Service(settings, generation) as service:
        for answer in (service.post("/recall", {}), service.get("/items/i1/similar")):
            assert len(answer.json()["items"]) == 7


@pytest.mark.parametrize(("most", "searches"), [(2, 3), (16, 1)])
def test_so_many_recalls_share_a_search(
    redis_url: str, generation: Generation, most: int, searches: int
) -> None:
    def counted() -> float:
        return REGISTRY.get_sample_value(name, {"stage": "search"}) or 0.0

    name = "firstsight_stage_seconds_count"
    settings = patient(redis_url).model_copy(update={"batch_recalls": most})
    with Service(settings, generation) as service:
        before = counted()
        service.post("/recall/batch", {"requests": [{"user": {"country": "de"}}] * 6})
        assert counted() - before == searches


@pytest.mark.parametrize(("wait_ms", "degraded"), [(0, ["stale"]), (60_000, [])])
def test_a_recall_waits_so_long_for_what_comes_after(
    redis_url: str, generation: Generation, wait_ms: int, degraded: list[str]
) -> None:
    settings = patient(redis_url).model_copy(update={"after_wait_ms": wait_ms})
    soon_ms = int(time.time() * 1000) + 300
    body = {"user": {"country": "de"}, "after": f"{soon_ms}-0"}

    async def main(client: httpx.AsyncClient) -> httpx.Response:
        async def post_later() -> None:
            await asyncio.sleep(0.6)
            await client.post("/items", json={"id": "later"})

        answer, _ = await asyncio.gather(client.post("/recall", json=body), post_later())
        return answer

    with Service(settings, generation) as service:
        assert service.do(main(service.client)).json()["degraded"] == degraded


@pytest.mark.parametrize(
    ("timeout_ms", "patience_s", "raised"),
    [(50, 30.0, StoreUnavailable), (60_000, 0.5, TimeoutError)],
)
def test_a_store_that_hangs_is_given_so_long(
    own_redis: OwnRedis,
    generation: Generation,
    timeout_ms: int,
    patience_s: float,
    raised: type[Exception],
) -> None:
    process, url = own_redis
    process.send_signal(signal.SIGSTOP)

    async def main() -> None:
        store = open_store(Settings(redis=url, store_timeout_ms=timeout_ms), generation)
        with pytest.raises(raised):
            await asyncio.wait_for(store.get_users(["u"]), patience_s)
        process.send_signal(signal.SIGCONT)
        await store.link.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({}, None),
        ({"write_ack": "fsync"}, "appendfsync"),
        ({"write_ack": "replica"}, "0 of 1 replicas"),
        ({"write_ack": "replica", "write_replicas": 2}, "0 of 2 replicas"),
    ],
)
def test_a_write_says_what_it_waited_for_in_vain(
    own_redis: OwnRedis, generation: Generation, settings: dict[str, Any], fault: str | None
) -> None:
    url = own_redis[1]
    with redis.Redis.from_url(url) as client:
        client.config_set("appendonly", "yes")
        version = client.info("server")["redis_version"]
    if settings == {"write_ack": "fsync"} and version >= "7.2":
        pytest.skip(f"redis {version} can be waited for")
    chosen = patient(url).model_copy(update=settings)
    with Service(chosen, generation) as service:
        answer = service.post("/items", {"id": "a"})
        assert answer.status_code == 201, answer.text
        told = answer.json().get("not_durable")
        assert (fault or "") in (told or "")
        assert (told is None) == (fault is None)


def test_replicas_are_counted_only_where_they_are_waited_for() -> None:
    with pytest.raises(ConfigError, match="write_ack to be replica"):
        read_settings({"FIRSTSIGHT_WRITE_REPLICAS": "2"})
    environ = {"FIRSTSIGHT_WRITE_REPLICAS": "2", "FIRSTSIGHT_WRITE_ACK": "replica"}
    assert read_settings(environ).write_replicas == 2


@pytest.mark.parametrize(("catch_up_s", "starts"), [(0.2, True), (60.0, False)])
def test_a_worker_waits_so_long_for_the_items_before_it_serves(
    own_redis: OwnRedis, generation: Generation, catch_up_s: float, starts: bool
) -> None:
    process, url = own_redis
    process.send_signal(signal.SIGSTOP)
    settings = Settings(redis=url, store_timeout_ms=600_000, catch_up_s=catch_up_s)

    async def main() -> bool:
        control = WorkerControl.alone()
        loaded = Loaded.alone(generation)
        began = lifespan(create_app(settings, loaded, open_link(settings), control))
        entering = asyncio.ensure_future(began.__aenter__())
        await asyncio.wait([entering], timeout=30.0 if starts else 1.5)
        has_started = entering.done()
        process.send_signal(signal.SIGCONT)
        await entering
        await began.__aexit__(None, None, None)
        control.close()
        return has_started

    assert asyncio.run(main()) == starts


def test_two_prefixes_share_a_redis_and_see_nothing_of_each_other(
    redis_url: str, redis_client: redis.Redis, generation: Generation
) -> None:
    ours, theirs = (Settings(redis=redis_url, prefix=one) for one in ("ours", "theirs"))

    async def main() -> list[UserRecord | StoreUnavailable | None]:
        mine, other = (open_store(one, generation) for one in (ours, theirs))
        await mine.put_user(UserRecord("u", {"age": 3.0}, None, None))
        found = [*await mine.get_users(["u"]), *await other.get_users(["u"])]
        await mine.link.close()
        await other.link.close()
        return found

    mine, other = asyncio.run(main())
    assert mine is not None
    assert other is None
    activate_first(ours, "tiny-1")
    assert (read_pointer(ours), read_pointer(theirs)) == (first_pointer("tiny-1"), None)
    keys = redis_client.keys()
    assert len(keys) >= 2
    assert all(isinstance(key, bytes) and key.lstrip(b"{").startswith(b"ours") for key in keys)


@pytest.mark.parametrize(("level", "is_told"), [("INFO", True), ("WARNING", False)])
def test_a_loaded_bundle_is_logged_from_info_on(
    redis_url: str,
    bundle_folder: Path,
    capsys: pytest.CaptureFixture[str],
    level: str,
    is_told: bool,
) -> None:
    environ = {"redis": redis_url, "bundle": bundle_folder, "log_level": level}
    assert worker.load(Settings.model_validate(environ)) is not None
    assert ("generation loaded" in capsys.readouterr().err) == is_told


@pytest.mark.parametrize(("entries", "kept"), [(1000, 1000), (5000, 1501)])
def test_about_so_many_entries_of_the_log_are_kept_at_most(
    redis_url: str,
    redis_client: redis.Redis,
    generation: Generation,
    entries: int,
    kept: int,
) -> None:
    for n in range(1500):
        redis_client.xadd("{fs}:log", {"n": str(n)})

    async def main() -> None:
        store = open_store(Settings(redis=redis_url, log_entries=entries), generation)
        await store.write_item(ItemRecord("x", 0, "delete"), None, "v", 0)
        await store.link.close()

    asyncio.run(main())
    assert kept <= redis_client.xlen("{fs}:log") < kept + 100


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"])
def test_the_host_is_the_address_that_is_listened_on(host: str) -> None:
    with contextlib.closing(bind(host, 0)) as listener:
        assert listener.getsockname()[0] == host
