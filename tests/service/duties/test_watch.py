"""When a worker asks for another load, and when what was refused is forgotten."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from service.duties import watch as module
from service.duties.watch import follow_pointer
from service.parts import Parts
from service.processes.loaded import Loaded
from service.rollout.pointer import Pointer
from service.rollout.pointer_store import change_pointer, read_pointer
from service.serving import Serving
from service.settings import Settings
from service.store.task import end
from service.stores import open_link
from tests.service.processes.test_worker import Listening
from tests.tiny import tiny_bundle

ONE = Pointer(1, "one")
TRIED = Pointer(1, "one", "two", 0.5)


@pytest.fixture
def control() -> Iterator[Listening]:
    control = Listening()
    yield control
    control.close()


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    return Settings(redis=redis_url, bundles=tmp_path)


def parts(
    settings: Settings, control: Listening, pointer: Pointer, *loaded: str, grown: bool = False
) -> Parts:
    """Make a process that has loaded these versions; without any it waits for a bundle."""
    if not loaded:
        return Parts(settings, control, None, None)
    generation = SimpleNamespace(has_grown=grown)
    cases: Any = {
        version: SimpleNamespace(version=version, generation=generation) for version in loaded
    }
    return Parts(settings, control, None, Serving(Loaded(pointer, cases), cases))


def follow(served: Parts) -> None:
    follow_pointer(served, read_pointer(served.settings))


@pytest.mark.parametrize("loaded", [(), ("one",)])
def test_a_version_that_becomes_current_is_asked_for_once_it_is_there(
    settings: Settings, control: Listening, loaded: tuple[str, ...]
) -> None:
    change_pointer(settings, None, Pointer(1, "two"))
    served = parts(settings, control, ONE, *loaded)
    follow(served)
    assert control.asked == []
    tiny_bundle(settings.bundles, "two")
    follow(served)
    assert control.asked == ["version two is current"]


def test_a_candidate_that_is_there_is_asked_for(settings: Settings, control: Listening) -> None:
    tiny_bundle(settings.bundles, "two")
    change_pointer(settings, None, TRIED)
    follow(parts(settings, control, ONE, "one"))
    assert control.asked == ["version two is to be tried"]


def test_a_candidate_waits_for_the_current_version_that_is_not_there(
    settings: Settings, control: Listening
) -> None:
    tiny_bundle(settings.bundles, "two")
    change_pointer(settings, None, Pointer(1, "three", "two", 0.5))
    follow(parts(settings, control, ONE, "one"))
    assert control.asked == []


@pytest.mark.parametrize("loaded", [("one",), ("one", "two")])
def test_what_is_loaded_is_not_asked_for_again(
    settings: Settings, control: Listening, loaded: tuple[str, ...]
) -> None:
    pointer = ONE if len(loaded) == 1 else TRIED
    change_pointer(settings, None, pointer)
    follow(parts(settings, control, pointer, *loaded))
    assert control.asked == []


@pytest.mark.parametrize(("kept_s", "asked"), [(0.0, ["a version is no longer served"]), (60, [])])
def test_a_version_that_is_no_longer_named_goes_after_a_while(
    settings: Settings, control: Listening, kept_s: float, asked: list[str]
) -> None:
    change_pointer(settings, None, ONE)
    keeping = settings.model_copy(update={"unnamed_kept_s": kept_s})
    served = parts(keeping, control, TRIED, "one", "two")
    for _ in range(2):
        control.asked.clear()
        follow(served)
    assert control.asked == asked


def test_an_index_that_has_grown_is_handed_over(settings: Settings, control: Listening) -> None:
    change_pointer(settings, None, ONE)
    follow(parts(settings, control, ONE, "one", grown=True))
    assert control.asked == ["the recent index has grown"]


def test_a_refusal_is_told_until_nothing_is_asked_for_any_more(
    settings: Settings, control: Listening
) -> None:
    change_pointer(settings, None, ONE)
    control.refusal = "no room"
    follow(parts(settings, control, ONE, "one", grown=True))
    assert control.refusal == "no room"
    follow(parts(settings, control, ONE, "one"))
    assert control.refusal is None


def test_an_error_is_told_and_the_watch_goes_on(
    settings: Settings,
    control: Listening,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    looked: list[int] = []

    def fails(*_: object) -> None:
        looked.append(1)
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(module, "LOOK_S", 0.01)
    monkeypatch.setattr(module, "follow_pointer", fails)

    async def run() -> None:
        link = open_link(settings)
        watching = asyncio.create_task(module.watch(Parts(settings, control, link, None)))
        async with asyncio.timeout(30):
            while len(looked) < 3:
                await asyncio.sleep(0.01)
        await end(watching)
        await link.close()

    asyncio.run(run())
    assert "watch failed" in caplog.text


def test_the_pointer_is_read_again_and_again_over_one_connection(
    settings: Settings,
    control: Listening,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    change_pointer(settings, None, ONE)

    def told() -> tuple[int, int]:
        info: dict[str, Any] = redis_client.info("everything")
        reads = info.get("cmdstat_hgetall", {"calls": 0})["calls"]
        return reads, info["total_connections_received"]

    async def run() -> None:
        link = open_link(settings)
        reads, connections = told()
        watching = asyncio.create_task(module.watch(Parts(settings, control, link, None)))
        async with asyncio.timeout(30):
            while told()[0] < reads + 10:
                await asyncio.sleep(0.02)
        await end(watching)
        await link.close()
        assert told()[1] <= connections + 1

    asyncio.run(run())


def test_a_pointer_that_redis_lost_is_written_again(settings: Settings, control: Listening) -> None:
    served = parts(settings, control, TRIED, "one", "two")
    follow(served)
    assert read_pointer(settings) == TRIED
    assert control.asked == []
