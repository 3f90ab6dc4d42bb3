import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

import service.duties.growth as module
import service.generation as generation_module
from export.index.base import Vectors
from export.index.hnsw import HnswIndex
from export.index.twins import Pause, Twins
from service.duties.growth import GrowthDuty
from service.generation import Generation
from service.index.growth import Growth
from service.store.task import end
from tests.service.made import made_generation, put, unit_vectors
from tests.service.running import Service, patient

POSTED = unit_vectors(3000, seed=2)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation_module, "GROW_AT", 100)
    monkeypatch.setattr(module, "LATER", 0.0)
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    monkeypatch.setattr(module, "RETRY_S", (0.02, 0.02))


def filled(count: int) -> Generation:
    generation = made_generation(unit_vectors(5, seed=1))
    for n in range(count):
        generation.apply(put(f"x{n}", n + 1), POSTED[n])
    return generation


def beside(
    generation: Generation, work: Callable[[], Awaitable[None]], *others: Generation
) -> None:
    """Do some work on the event loop while the duty runs, of other versions too."""

    async def main() -> None:
        turn = asyncio.Lock()
        duties = [asyncio.create_task(GrowthDuty(one, turn).run()) for one in (generation, *others)]
        try:
            await work()
        finally:
            for duty in duties:
                await end(duty)

    asyncio.run(main())


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.01)


def test_what_gathers_goes_into_the_recent_index_while_others_have_their_turn() -> None:
    generation = filled(0)

    async def post() -> None:
        for n in range(1000):
            generation.apply(put(f"x{n}", n + 1), POSTED[n])
            if n % 20 == 0:
                await asyncio.sleep(0)
        await until(lambda: generation.delta_size < 100)

    beside(generation, post)
    assert generation.recent_size + generation.delta_size == 1000
    [found] = generation.search(POSTED[:1], [1], [()])
    assert found.items == ["x0"]


def test_nothing_is_built_where_nothing_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Growth] = []
    build = Growth.build

    def noted(self: Growth, pause: Pause) -> None:
        built.append(self)
        build(self, pause)

    monkeypatch.setattr(Growth, "build", noted)
    generation = filled(150)

    async def wait() -> None:
        await until(lambda: generation.recent_size == 150)
        await asyncio.sleep(0.2)

    beside(generation, wait)
    assert len(built) == 1


def test_an_error_is_logged_and_tried_again_and_all_is_found_meanwhile(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    grow, calls = Twins.grow, []

    def failing(self: Twins, vectors: Vectors, pause: Pause) -> None:
        calls.append(len(vectors))
        if len(calls) in (2, 3):
            grow(self, vectors[:1])  # half way
            raise MemoryError("for a test")
        grow(self, vectors, pause)

    monkeypatch.setattr(Twins, "grow", failing)
    generation = filled(120)

    async def post() -> None:
        await until(lambda: generation.recent_size == 120)
        for n in range(120, 300):
            generation.apply(put(f"x{n}", n + 1), POSTED[n])
        await until(lambda: len(calls) >= 3)
        [found] = generation.search(POSTED[:1], [400], [()])
        assert len(found.items) == 305
        await until(lambda: generation.delta_size == 0)

    with caplog.at_level(logging.ERROR):
        beside(generation, post)
    assert [record.message for record in caplog.records] == ["recent index not grown"] * 2
    assert calls == [120, 180, 300, 300]  # after a failure from the beginning
    [found] = generation.search(POSTED[:1], [400], [()])
    assert sorted(found.items) == sorted(
        [f"i{n}" for n in range(5)] + [f"x{n}" for n in range(300)]
    )


def test_growth_that_has_no_room_is_told_once_until_it_has_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(generation_module, "RECENT_LEAST", 100)
    monkeypatch.setattr(module, "LOOK_S", 0.001)
    generation = filled(100)
    looked: list[None] = []
    begin = generation.begin_growth

    def noted(patience: float) -> Growth | None:
        looked.append(None)
        return begin(patience)

    monkeypatch.setattr(generation, "begin_growth", noted)

    def is_blocked() -> bool:
        labels = {"version": generation.version}
        return REGISTRY.get_sample_value("firstsight_growth_blocked", labels) == 1

    async def look_often() -> None:
        ticks = len(looked)
        await until(lambda: len(looked) > ticks + 10)

    async def post() -> None:
        await until(lambda: generation.recent_size == 100)
        assert not is_blocked()
        for n in range(100, 250):
            generation.apply(put(f"x{n}", n + 1), POSTED[n])
        await until(is_blocked)
        await look_often()
        generation.compact()
        await until(lambda: not is_blocked())
        for n in range(250, 500):
            generation.apply(put(f"x{n}", n + 1), POSTED[n])
        await until(is_blocked)
        await look_often()

    with caplog.at_level(logging.WARNING, logger=module.logger.name):
        beside(generation, post)
    told = [(one.message, vars(one)["reason"]) for one in caplog.records]
    reason = "the recent index has room for 200 rows, and more were posted"
    assert told == [("recent index cannot grow until a handover", reason)] * 2


def test_who_leaves_does_not_wait_for_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    linked: list[int] = []
    add = HnswIndex.with_more

    def noted(self: HnswIndex, vectors: Vectors) -> HnswIndex:
        linked.append(len(vectors))
        return add(self, vectors)

    monkeypatch.setattr(HnswIndex, "with_more", noted)
    generation = filled(3000)

    async def leave() -> None:
        await until(lambda: len(linked) > 1)

    beside(generation, leave)  # returns once the thread has ended: asyncio.run waits for it
    assert 0 < sum(linked) < 3000
    assert generation.recent_size == 0
    assert generation.begin_growth() is not None


def test_of_the_versions_of_a_process_one_grows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = [filled(2000), filled(2000)]
    at_work: list[Growth] = []
    most = 0
    build = Growth.build

    def noted(self: Growth, pause: Pause) -> None:
        nonlocal most
        at_work.append(self)
        most = max(most, len(at_work))
        build(self, pause)
        at_work.remove(self)

    monkeypatch.setattr(Growth, "build", noted)

    async def wait() -> None:
        await until(lambda: all(one.recent_size == 2000 for one in versions))

    beside(versions[0], wait, *versions[1:])
    assert most == 1


def test_workers_that_are_posted_the_same_grow_at_moments_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LATER", 0.25)
    generations = [filled(110) for _ in range(40)]

    async def look() -> list[bool]:
        return [await GrowthDuty(one, asyncio.Lock()).grow() for one in generations]

    began = asyncio.run(look())
    assert 0 < sum(began) < len(began)
    for one in generations:
        one.apply(put("more", 1000), POSTED[2000])
        for n in range(15):
            one.apply(put(f"more{n}", 1001 + n), POSTED[2001 + n])
    assert asyncio.run(look()) == [not has for has in began]


def test_growth_rests_longer_than_it_works() -> None:
    slices: list[float] = []
    leaving = threading.Event()
    begun_s = time.monotonic()
    for took_s in (0.02, 0.05):
        module._rest(leaving, took_s)
        slices.append(took_s)
    assert time.monotonic() - begun_s >= sum(slices) * (1 / module.SHARE - 1)
    leaving.set()
    with pytest.raises(module.Stopped):
        module._rest(leaving, 60.0)


def test_a_service_grows_and_tells_of_it(redis_url: str, bundle_folder: Path) -> None:
    with Service(patient(redis_url), Generation.load(bundle_folder)) as service:
        batch = [{"id": f"n{n}", "topics": ["art"], "length": n} for n in range(150)]
        assert service.post("/items?vector=false", {"items": batch}).status_code == 200
        assert service.generation is not None
        generation = service.generation
        service.do(until(lambda: generation.recent_size >= 100))

        def told() -> float | None:
            labels = {"part": "recent", "version": generation.version}
            return REGISTRY.get_sample_value("firstsight_index_items", labels)

        service.do(until(lambda: told() == generation.recent_size))
        answer = service.post("/recall", {"user": {"taste": {"art": 1}}, "k": 1000}).json()
        assert {one["id"] for one in batch} <= set(answer["items"])
