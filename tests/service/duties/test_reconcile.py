"""A replica and Redis that differ are mended in both directions, whatever is written meanwhile."""

import asyncio
from pathlib import Path

import pytest
import redis
from prometheus_client import REGISTRY

import service.duties.reconcile as module
from service.duties.reconcile import Behind, Reconciled, Reconciler
from tests.service.test_follower import Make, Replica, make, run, running, until

__all__ = ["make"]


def reconciler(replica: Replica) -> Reconciler:
    return Reconciler(replica.generation, replica.store, replica.intake, replica.follower)


def found(done: Reconciled) -> tuple[int, int, int]:
    return done.read, done.announced, done.unreadable


async def filled(a: Replica, b: Replica) -> None:
    for n in range(7):
        await a.post(id=f"x{n}", topics=["art"], length=float(n), clicks=n)
    await a.items.delete("x1")
    await a.items.delete("i3")
    await a.items.patch("i4", {"length": 9.0})
    last = await a.post(id="last")
    for one in (a, b):
        assert await one.follower.wait_for(last, 5)


def test_where_nothing_differs_nothing_is_done(make: Make, redis_client: redis.Redis) -> None:
    async def test() -> None:
        a, b = make(), make()
        async with running(a, b):
            await filled(a, b)
            entries = redis_client.xlen("{fs}:log")
            done = await reconciler(b).reconcile()
            assert found(done) == (0, 0, 0)
            assert done.stored == done.known == redis_client.zcard("{fs}:items") == 10
            assert done.stored_checksum == done.known_checksum == a.generation.checksum
            assert redis_client.xlen("{fs}:log") == entries

    run(test)


@pytest.mark.parametrize("page", [2, 512])
def test_what_redis_lost_is_announced_again_as_it_was(
    make: Make, redis_client: redis.Redis, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", page)

    async def test() -> None:
        a, b, fresh = make(), make(), make()
        async with running(a, b):
            await filled(a, b)
            kept = {str(key): redis_client.get(str(key)) for key in ("{fs}:item:x2", "{fs}:rev")}
            older = redis_client.get("{fs}:item:x5")
            assert older is not None
            await a.post(id="x5", length=77.0)
            await until(lambda: a.generation.checksum == b.generation.checksum)
            # As after a failover to an older primary: x2 and a removal are gone, x5 is of before.
            redis_client.delete("{fs}:item:x2", "{fs}:item:i3", "{fs}:vec:tiny-1:x2")
            redis_client.zrem("{fs}:items", "x2", "i3")
            redis_client.set("{fs}:item:x5", older)
            redis_client.zadd("{fs}:items", {"x5": 6})
            redis_client.set("{fs}:rev", 6)
            done = await reconciler(b).reconcile()
            assert found(done) == (0, 3, 0)
            assert done.stored_checksum != done.known_checksum
            assert redis_client.get("{fs}:item:x2") == kept["{fs}:item:x2"]
            assert int(redis_client.get("{fs}:rev") or 0) == b.generation.highest_rev
            assert found(await reconciler(a).reconcile()) == (0, 0, 0)
            async with running(fresh):
                assert await fresh.follower.loaded(5)
                assert fresh.generation.checksum == b.generation.checksum
                for one in b.generation.changed():
                    assert fresh.seen(one) == b.seen(one)
                assert fresh.intake.counts.embedded == 0

    run(test)


def test_what_a_replica_lacks_is_read(make: Make, redis_client: redis.Redis) -> None:
    async def test() -> None:
        a = make()
        async with running(a):
            assert await a.follower.loaded(5)  # nothing, from a log that has not begun
            await a.post(id="x1", length=1.0)
            await until(lambda: a.follower.is_current and a.follower.counts.loads == 2)
            redis_client.incrby("{fs}:rev", 2)  # two writes that the log says nothing of
            for rev, one in ((2, "x1"), (3, "x2")):
                record = f'{{"op":"put","rev":{rev},"id":"{one}","content":{{"length":5.0}}}}'
                redis_client.set(f"{{fs}}:item:{one}", record)
                redis_client.zadd("{fs}:items", {one: rev})
            redis_client.zadd("{fs}:items", {"bad": 1})
            done = await reconciler(a).reconcile()
            assert found(done) == (2, 0, 1)
            for one in ("x1", "x2"):
                item = a.generation.get(one)
                assert item is not None
                assert item.record == {"length": 5.0}
            assert found(await reconciler(a).reconcile()) == (0, 0, 1)

    run(test)


def test_what_is_written_meanwhile_is_no_difference(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 3)

    async def test() -> None:
        a, b = make(), make()
        async with running(a, b):
            await filled(a, b)

            async def write() -> None:
                for n in range(60):
                    await a.post(id=f"x{n % 9}", length=float(n))

            writing = asyncio.ensure_future(write())
            while not writing.done():
                for one in (a, b):
                    assert found(await reconciler(one).reconcile()) == (0, 0, 0)
            await writing

    run(test)


def test_a_replica_that_is_behind_compares_nothing(
    make: Make, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CATCH_UP_S", 0.05)

    async def test() -> None:
        a, b = make(), make()
        async with running(a):
            await a.post(id="x")
            with pytest.raises(Behind, match="applied up to 0-0"):
                await reconciler(b).reconcile()
        await b.store.link.close()

    run(test)


@pytest.mark.parametrize(("every_s", "is_mended"), [(0.1, True), (100.0, False)])
def test_it_is_done_every_so_often_and_counted(
    make: Make,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    every_s: float,
    is_mended: bool,
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.02)

    def announced() -> float:
        name = "firstsight_reconciled_total"
        return REGISTRY.get_sample_value(name, {"was": "announced"}) or 0.0

    async def test() -> None:
        a = make()
        async with running(a):
            assert await a.follower.loaded(5)
            await a.post(id="x")
            await until(lambda: a.follower.is_current and a.follower.counts.loads == 2)
            before = announced()
            task = asyncio.ensure_future(reconciler(a).run(every_s))
            redis_client.zrem("{fs}:items", "x")
            if is_mended:
                await until(lambda: redis_client.zscore("{fs}:items", "x") == 1)
                await until(lambda: announced() == before + 1)
            else:
                await asyncio.sleep(0.4)
                assert redis_client.zscore("{fs}:items", "x") is None
            task.cancel()

    run(test)


def test_a_redis_that_was_emptied_has_everything_again_soon(
    make: Make, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.02)

    async def test() -> None:
        a, b = make(), make()
        async with running(a, b):
            await filled(a, b)
            tasks = [asyncio.ensure_future(reconciler(one).run(100.0)) for one in (a, b)]
            redis_client.flushall()
            await until(lambda: redis_client.zcard("{fs}:items") == 10)
            fresh = make()
            async with running(fresh):
                assert await fresh.follower.loaded(5)
                checksums = {one.generation.checksum for one in (a, b, fresh)}
                assert len(checksums) == 1
            for task in tasks:
                task.cancel()

    run(test)


def test_what_cannot_be_read_in_redis_ends_no_reconciliation_for_good(
    make: Make,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.02)
    monkeypatch.setattr(module, "RETRY_S", 0.02)

    async def test() -> None:
        a = make()
        async with running(a):
            await a.post(id="x")
            task = asyncio.ensure_future(reconciler(a).run(0.05))
            redis_client.set("{fs}:rev", "no number")
            await until(lambda: "not reconciled" in caplog.text)
            redis_client.set("{fs}:rev", "1")
            redis_client.zrem("{fs}:items", "x")
            await until(lambda: redis_client.zscore("{fs}:items", "x") == 1)
            task.cancel()

    run(test)
