import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from redis.typing import EncodableT, FieldT

import service.follower as module
from export.embedder import Embedder
from service.follower import Follower
from service.generation import Generation
from service.intake import Intake
from service.items import Items, Posted
from service.store import Link, Store
from tests.service.conftest import start_redis

OwnRedis = tuple["subprocess.Popen[bytes]", str]


class Replica:
    """A generation with its store, follower and items, as one worker has them."""

    def __init__(self, url: str, folder: Path, embedder: Embedder) -> None:
        self.generation = Generation.load(folder)
        self.store = Store(Link(url, timeout_s=2.0), self.generation.schema)
        self.delays: list[float] = []
        self.intake = Intake(self.store, self.generation, embedder)
        self.follower = Follower(
            self.store, self.generation, self.intake, on_searchable=self.delays.append
        )
        self.items = Items(self.generation, embedder, self.store, self.intake)

    async def post(self, **item: object) -> str:
        [outcome] = await self.items.post([item])
        assert isinstance(outcome, Posted), outcome
        return outcome.log_id

    def seen(self, one: str) -> object:
        record, vector = self.generation.get(one), self.generation.vector(one)
        return record, None if vector is None else vector.tolist()


@asynccontextmanager
async def running(*replicas: Replica) -> AsyncIterator[None]:
    for replica in replicas:
        replica.follower.start()
    try:
        yield
    finally:
        for replica in replicas:
            await replica.follower.stop()
            await replica.store.link.close()


async def until(holds: Callable[[], bool], timeout_s: float = 10) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline_s, "it did not come to hold"
        await asyncio.sleep(0.005)


Make = Callable[[], Replica]


@pytest.fixture
def make(redis_url: str, bundle_folder: Path, embedder: Embedder) -> Make:
    return lambda: Replica(redis_url, bundle_folder, embedder)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_two_replicas_converge_whoever_writes(make: Make) -> None:
    async def test() -> None:
        a, b = make(), make()
        async with running(a, b):
            for n in range(30):
                writer = (a, b)[n % 2]
                await writer.post(id=f"x{n % 7}", topics=["art"], length=float(n))
                if n % 5 == 0:
                    await writer.items.delete(f"i{n}")
            last = await a.post(id="last")
            assert await a.follower.wait_for(last, 5)
            assert await b.follower.wait_for(last, 5)
            for one in [*(f"x{n}" for n in range(7)), *(f"i{n}" for n in range(40))]:
                assert a.seen(one) == b.seen(one)
            popular = [one.generation.popular(60, ()) for one in (a, b)]
            assert popular[0].items == popular[1].items
            assert popular[0].scores.tolist() == popular[1].scores.tolist()
            assert a.generation.get("i5") is None
            assert len(b.delays) >= 30

    run(test)


def test_a_fresh_replica_loads_all_and_computes_no_vector_again(make: Make) -> None:
    async def test() -> None:
        a, b = make(), make()
        async with running(a):
            for n in range(5):
                await a.post(id=f"x{n}", topics=["food"], length=float(n))
            await a.items.delete("i3")
            await a.items.delete("x1")
            async with running(b):
                assert await b.follower.loaded(5)
                for one in ["x0", "x1", "x4", "i3"]:
                    assert b.seen(one) == a.seen(one)
                assert "x1" not in b.generation
                assert b.intake.counts.embedded == 0
                assert b.generation.highest_rev == a.generation.highest_rev

    run(test)


def test_a_page_of_equal_revs_is_read_to_its_end(
    make: Make, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_MOST", 3)
    for n in range(11):
        record = f'{{"id":"x{n}","rev":{1 + n // 8},"op":"put","content":{{"length":{n}}}}}'
        redis_client.set(f"{{fs}}:item:x{n}", record)
        redis_client.zadd("{fs}:items", {f"x{n}": 1 + n // 8})

    async def test() -> None:
        a = make()
        async with running(a):
            assert await a.follower.loaded(5)
            assert all(f"x{n}" in a.generation for n in range(11))

    run(test)


def test_poison_is_counted_and_what_follows_is_applied(
    make: Make, redis_client: redis.Redis
) -> None:
    entry: dict[FieldT, EncodableT] = {"format": "1", "rev": "7", "op": "put"}
    redis_client.zadd("{fs}:items", {b"\xff": 1, b"far": float("inf"), b"low": float("-inf")})

    async def test() -> None:
        a = make()
        async with running(a):
            assert await a.follower.loaded(5)
            assert await a.follower.wait_for(await a.post(id="first"), 5)  # now there is a log
            for one, value in {"bad": b"\xff", "other": b'{"id":"no"}', "gone": None}.items():
                if value is not None:
                    redis_client.set(f"{{fs}}:item:{one}", value)
                redis_client.xadd("{fs}:log", {**entry, "id": one})
            redis_client.xadd("{fs}:log", {"nonsense": "?"})
            redis_client.xadd("{fs}:log", {**entry, "id": "x", "rev": str(2**60)})
            strange = '{"id":"x2","rev":9,"op":"put","content":{"mood":1,"length":3,"topics":4}}'
            redis_client.set("{fs}:item:x2", strange)
            last = redis_client.xadd("{fs}:log", {**entry, "id": "x2", "rev": "9"})
            assert isinstance(last, bytes)
            assert await a.follower.wait_for(last.decode(), 5)
            item = a.generation.get("x2")
            assert item is not None
            assert item.record == {"length": 3.0}
            assert a.intake.counts.ignored == 2
            assert a.intake.counts.poisoned >= 5
            assert a.generation.highest_rev == 9

    run(test)


def test_a_gap_in_the_log_is_noticed_and_all_is_read_again(
    make: Make, redis_client: redis.Redis
) -> None:
    async def test() -> None:
        a = make()
        async with running(a):
            assert await a.follower.loaded(5)
            await a.post(id="x0")
            await until(lambda: a.follower.counts.loads == 2)  # the log's first epoch
            with redis_client.pipeline(transaction=True) as trimmed:
                record = '{"id":"x1","rev":70,"op":"put","content":{"length":1}}'
                trimmed.set("{fs}:item:x1", record)
                trimmed.zadd("{fs}:items", {"x1": 70})
                trimmed.xadd("{fs}:log", {"format": "1", "id": "x1", "rev": "70", "op": "put"})
                trimmed.xtrim("{fs}:log", maxlen=0, approximate=False)
                trimmed.execute()
            await until(lambda: a.follower.counts.loads == 3)
            assert "x1" in a.generation

    run(test)


def test_a_store_that_was_emptied_loses_nothing_served_and_is_followed_again(
    make: Make, redis_client: redis.Redis
) -> None:
    async def test() -> None:
        a, b = make(), make()
        async with running(a, b):
            for n in range(5):
                last = await a.post(id=f"x{n}")
            assert await b.follower.wait_for(last, 5)
            redis_client.flushall()
            await a.post(id="x9", length=1.0)
            await until(lambda: "x9" in b.generation)
            await until(lambda: b.follower.counts.loads >= 2)
            assert all(f"x{n}" in b.generation for n in range(5))
            await b.post(id="x1", length=7.0)
            await until(lambda: a.seen("x1") == b.seen("x1"))
            assert a.generation.known_rev("x1") > 5

    run(test)


def test_a_replica_that_starts_without_redis_catches_up_when_it_comes(
    tmp_path: Path, bundle_folder: Path, embedder: Embedder
) -> None:
    async def test() -> None:
        a = Replica(f"unix://{tmp_path}/redis.sock", bundle_folder, embedder)
        async with running(a):
            assert not await a.follower.loaded(0.2)
            assert a.follower.state == "connecting"
            process, _ = await asyncio.to_thread(start_redis, tmp_path)
            try:
                assert await a.follower.loaded(10)
                await until(lambda: a.follower.is_current)
                assert await a.follower.wait_for(await a.post(id="x"), 5)
            finally:
                process.kill()
                process.wait()
            await until(lambda: not a.follower.is_current)
            assert "x" in a.generation

    run(test)


def test_after_a_restart_of_redis_the_log_is_followed_again(
    tmp_path: Path, bundle_folder: Path, embedder: Embedder
) -> None:
    async def test() -> None:
        process, url = await asyncio.to_thread(start_redis, tmp_path)
        a = Replica(url, bundle_folder, embedder)
        async with running(a):
            await a.post(id="x0")
            process.kill()
            process.wait()
            await until(lambda: not a.follower.is_current)
            process, _ = await asyncio.to_thread(start_redis, tmp_path)
            try:
                await until(lambda: a.follower.is_current)
                await a.post(id="x1")
                assert a.generation.known_rev("x1") > a.generation.known_rev("x0")
                assert "x0" in a.generation
            finally:
                process.kill()
                process.wait()

    run(test)


def test_what_fails_again_and_again_is_tried_less_and_less_often(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        replica = make()
        tried: list[float] = []

        async def fails(*_: object) -> None:
            tried.append(time.monotonic())
            raise ZeroDivisionError

        monkeypatch.setattr(replica.follower, "_take", fails)
        async with running(replica):
            await replica.follower.loaded(5)
            await replica.post(id="new", topics=["art"])
            await asyncio.sleep(2.0)
        assert 2 <= len(tried) <= 12  # 40 and more with pauses that begin anew

    asyncio.run(scene())


def test_waiting_for_an_entry_that_never_comes_ends_in_time(make: Make) -> None:
    async def test() -> None:
        a = make()
        async with running(a):
            assert await a.follower.loaded(5)
            assert await a.follower.wait_for("0-0", 0)
            assert not await a.follower.wait_for("99999999999999-0", 0.05)
            assert a.follower._waiters == []
            with pytest.raises(ValueError, match="log id"):
                await a.follower.wait_for("yesterday", 1)

    run(test)


def test_entries_of_a_busy_log_are_all_applied(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_MOST", 10)
    monkeypatch.setattr(module, "SLICE", 3)
    monkeypatch.setattr(module, "CHECK_S", 0.0)

    async def test() -> None:
        a, b = make(), make()
        async with running(a, b):
            assert await b.follower.loaded(5)
            batch = [{"id": f"x{n}", "length": n} for n in range(200)]
            outcomes = await a.items.post(batch)
            last = outcomes[-1]
            assert isinstance(last, Posted)
            assert await b.follower.wait_for(last.log_id, 5)
            assert all(f"x{n}" in b.generation for n in range(200))
            assert b.follower.applied == last.log_id
            for n in (0, 57, 199):
                np.testing.assert_array_equal(
                    b.generation.vector(f"x{n}"), a.generation.vector(f"x{n}")
                )

    run(test)
