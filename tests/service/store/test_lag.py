"""The gauges of the lag, held against what the log really holds."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import redis

import service.follower as module
import service.store.log as log_module
from export.embedder import Embedder
from service.store import Behind, LogId, StoredItem
from service.store.lag import Lag
from tests.service.test_follower import Make, Replica, run, running, until

__all__ = ["make"]

from tests.service.test_follower import make


def test_what_was_read_is_behind_until_it_is_applied() -> None:
    lag = Lag()
    lag.measured(Behind(0, None, 50_000))
    assert (lag.entries, lag.seconds) == (0, 0.0)
    lag.found(3, LogId(40_000, 0))
    assert lag.entries == 3
    assert lag.seconds == pytest.approx(10.0, abs=0.5)
    lag.applied(2, LogId(45_000, 0))
    assert lag.entries == 1
    assert lag.seconds == pytest.approx(5.0, abs=0.5)
    lag.applied(1, LogId(46_000, 0))
    assert (lag.entries, lag.seconds) == (0, 0.0)


def test_entries_behind_a_place_are_counted_exactly_in_pieces(
    make: Make, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "COUNTED", 4)
    ids = [redis_client.xadd("{fs}:log", {"n": str(n)}) for n in range(12)]

    async def test() -> None:
        store = make().store
        for n, one in enumerate(ids):
            assert isinstance(one, bytes)
            behind = await store.log.behind(LogId.parse(one.decode()))
            following = ids[n + 1] if n < 11 else None
            assert behind.entries == 11 - n
            assert (behind.oldest and str(behind.oldest).encode()) == following
            assert abs(behind.now_ms / 1000 - redis_client.time()[0]) < 60
        await store.link.close()

    run(test)


def test_who_is_far_behind_is_told_at_least_how_far_and_counting_ends(
    make: Make, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "COUNTED", 4)
    monkeypatch.setattr(log_module, "COUNTED_MOST", 12)
    with redis_client.pipeline() as pipeline:
        for n in range(5000):
            pipeline.xadd("{fs}:log", {"n": str(n)}, id=f"{n + 1}-0")
        pipeline.execute()

    async def test() -> None:
        store = make().store
        await store.log.behind(LogId(5000, 0))  # after which the script is known
        redis_client.config_resetstat()
        behind = await store.log.behind(LogId(0, 0))
        calls = redis_client.info("commandstats")["cmdstat_evalsha"]["calls"]
        assert calls == 3
        assert (behind.entries, behind.oldest, behind.is_least) == (12, LogId(1, 0), True)
        for left in (11, 4, 3, 0):
            behind = await store.log.behind(LogId(5000 - left, 0))
            assert (behind.entries, behind.is_least) == (left, False)
        await store.link.close()

    run(test)


def test_of_who_is_far_behind_it_is_never_said_that_nothing_is_left() -> None:
    lag = Lag()
    lag.measured(Behind(12, LogId(40_000, 0), 50_000, is_least=True))
    lag.applied(10, LogId(41_000, 0))
    assert lag.entries == 2
    lag.applied(10, LogId(42_000, 0))
    assert lag.entries == 1
    assert lag.seconds == pytest.approx(8.0, abs=0.5)
    lag.measured(Behind(3, LogId(42_001, 0), 50_000))
    lag.applied(3, LogId(43_000, 0))
    assert (lag.entries, lag.seconds) == (0, 0.0)


def test_a_replica_that_is_held_up_says_by_how_many_entries_and_seconds(
    make: Make,
    bundle_folder: Path,
    redis_url: str,
    embedder: Embedder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SLICE", 4)
    monkeypatch.setattr(module, "READ_MOST", 8)
    monkeypatch.setattr(module, "CHECK_S", 0.0)

    def is_behind_by(entries: int) -> bool:
        return replica.follower.lag.entries == entries

    replica = Replica(redis_url, bundle_folder, embedder)

    async def test() -> None:
        a, b = make(), replica
        reads = asyncio.Semaphore(0)
        read_items = b.store.read_items

        async def held(ids: Sequence[str], version: str) -> list[StoredItem]:
            await reads.acquire()
            return await read_items(ids, version)

        async with running(a, b):
            assert await b.follower.wait_for(await a.post(id="first"), 5)
            b.store.read_items = held  # type: ignore[method-assign]
            last = await a.post(id="held")
            await until(lambda: b.follower.lag.entries == 1)
            oldest = LogId.parse(last)
            for n in range(20):
                last = await a.post(id=f"x{n}")
            await asyncio.sleep(0.2)
            await b.follower.measure()
            assert b.follower.lag.entries == 21
            behind = await a.store.log.behind(LogId.parse(b.follower.applied))
            assert behind.entries == 21
            age_s = (behind.now_ms - oldest.ms) / 1000
            assert b.follower.lag.seconds == pytest.approx(age_s, abs=0.15)
            assert age_s >= 0.2
            for left in (20, 16, 12, 8, 4):  # a slice each, in pages of eight
                reads.release()
                await until(partial(is_behind_by, left))
                truth = await a.store.log.behind(LogId.parse(b.follower.applied))
                assert truth.entries == left
            for _ in range(50):
                reads.release()
            assert await b.follower.wait_for(last, 5)
            await until(lambda: b.follower.lag.entries == 0)
            assert b.follower.lag.seconds == 0

    run(test)
