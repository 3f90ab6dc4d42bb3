"""What can happen to the item log between a snapshot and a start, and while replicas follow it."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
import redis

import service.duties.reconcile as reconcile_module
import service.follower as refresh_module
from service.duties.reconcile import Reconciler
from service.snapshot import kept_in
from service.store import Entry, LogId, Poison
from tests.service.snapshot.world import Replica, World
from tests.service.test_follower import until

LOG, ITEMS, EPOCH = "{fs}:log", "{fs}:items", "{fs}:epoch"


def filled(world: World) -> Replica:
    """Return a replica that has posted, removed and written a snapshot, and has ended."""
    replica = world.replica()

    async def fill() -> None:
        async with replica.running():
            await replica.post(12)
            await replica.items.delete("x1")
            await replica.items.delete("i3")
            await replica.post(1, "last")

    asyncio.run(fill())
    assert replica.numbers == [1]
    return replica


def more(world: World) -> Replica:
    """Have another replica, without snapshots, write more."""
    other = world.replica("elsewhere", snapshots_kept=0)

    async def write() -> None:
        async with other.running():
            await other.post(5, "later")
            await other.items.delete("x2")
            await other.post(1, "last")

    asyncio.run(write())
    return other


def assert_alike(new: Replica, known: Replica) -> None:
    assert new.generation.checksum == known.generation.checksum
    assert len(new.generation) == len(known.generation)
    for one in known.generation.changed():
        assert new.generation.get(one) == known.generation.get(one)
        ours, theirs = new.generation.vector(one), known.generation.vector(one)
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            assert ours.tolist() == theirs.tolist()


def test_a_log_that_was_trimmed_past_the_snapshot_loses_nothing(
    world: World, redis_client: redis.Redis
) -> None:
    filled(world)
    known = more(world)
    redis_client.xtrim(LOG, maxlen=2, approximate=False)
    assert_alike(world.replica(), known)


def test_a_log_that_was_deleted_and_begun_anew_loses_nothing(
    world: World, redis_client: redis.Redis
) -> None:
    filled(world)
    redis_client.delete(LOG)
    assert_alike(world.replica("a", snapshots_kept=0), world.replica())
    known = more(world)
    assert_alike(world.replica(), known)


def test_a_snapshot_of_another_log_is_not_used(
    world: World, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    filled(world)
    redis_client.flushall()
    known = more(world)
    new = world.replica()
    assert "snapshot refused" in caplog.text
    assert "x3" not in new.generation
    assert_alike(new, known)


def test_an_emptied_redis_has_again_what_the_snapshot_holds(
    world: World, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = filled(world)
    redis_client.flushall()
    new = world.replica()
    assert_alike(new, known)

    async def mend() -> None:
        async with new.running():
            await until(lambda: new.follower.is_current)
            reconciler = Reconciler(new.generation, new.store, new.intake, new.follower)
            assert (await reconciler.reconcile()).announced == known.generation.changes

    asyncio.run(mend())
    assert redis_client.zcard(ITEMS) == known.generation.changes
    assert_alike(world.replica("elsewhere"), known)


@pytest.mark.parametrize("lost", ["all", "the end"])
def test_who_starts_ahead_of_redis_writes_it_there_again_by_itself_and_soon(
    world: World, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """The loader has read all items already, so no worker sees a break of its own."""
    monkeypatch.setattr(reconcile_module, "LOOK_S", 0.02)
    known = filled(world)
    assert not world.replica().generation.is_ahead
    if lost == "all":
        redis_client.flushall()
    else:
        entries: Any = redis_client.xrevrange(LOG, count=1)
        [(at, fields)] = entries
        redis_client.xdel(LOG, at)
        redis_client.zrem(ITEMS, fields[b"id"])
        redis_client.xadd(LOG, {**fields, b"rev": b"1"})
    new = world.replica()
    assert new.generation.is_ahead
    assert not world.replica("elsewhere", snapshots_kept=0).generation.is_ahead

    async def main() -> None:
        async with new.running():
            reconciler = Reconciler(new.generation, new.store, new.intake, new.follower)
            task = asyncio.ensure_future(reconciler.run(300))
            await until(lambda: redis_client.zcard(ITEMS) == known.generation.changes)
            await until(lambda: not new.generation.is_ahead)
            task.cancel()

    asyncio.run(main())


def test_an_older_primary_is_told_what_it_lacks_by_the_snapshot(
    world: World, redis_client: redis.Redis
) -> None:
    known = filled(world)
    entries: Any = redis_client.xrevrange(LOG, count=3)
    for at, fields in entries:  # the last three writes never reached it
        redis_client.xdel(LOG, at)
        redis_client.zrem(ITEMS, fields[b"id"])
        redis_client.delete(b"{fs}:item:" + fields[b"id"])
    new = world.replica()
    assert_alike(new, known)

    async def mend() -> None:
        async with new.running():
            await until(lambda: new.follower.is_current)
            reconciler = Reconciler(new.generation, new.store, new.intake, new.follower)
            assert (await reconciler.reconcile()).announced == 3

    asyncio.run(mend())
    assert_alike(world.replica("elsewhere"), known)


def test_a_gap_is_noticed_before_what_comes_after_it_is_applied(
    world: World, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh_module, "READ_MOST", 4)
    a, b = world.replica("a"), world.replica("b")

    async def main() -> None:
        async with a.running(), b.running():
            await a.post(3)
            await until(lambda: b.generation.checksum == a.generation.checksum)
            await until(lambda: b.follower.is_current)
            loads, read = b.follower.counts.loads, b.store.log.read

            async def late(after: LogId, most: int, wait_s: float) -> "list[Entry | Poison]":
                """Read when the log has moved on and was trimmed, but not to its end."""
                b.store.log.read = read  # type: ignore[method-assign]
                await a.post(20, "y")
                redis_client.xtrim(LOG, maxlen=9, approximate=False)
                return await read(after, most, wait_s)

            b.store.log.read = late  # type: ignore[method-assign]
            # A reconciliation may bring the items before the log is read.
            await until(lambda: b.follower.counts.loads == loads + 1)
            assert all(f"y{n}" in b.generation for n in range(20))

    asyncio.run(main())


@pytest.mark.parametrize("seed", range(3))
def test_repeated_reordered_and_poisonous_entries_end_in_the_same(
    world: World, redis_client: redis.Redis, seed: int
) -> None:
    known = filled(world)
    other = more(world)
    entries: Any = redis_client.xrange(LOG)
    rng = random.Random(seed)
    again = [fields for _, fields in entries] * 2
    again += [{b"nonsense": b"?"}, {**again[0], b"rev": b"many"}, {**again[0], b"op": b"move"}]
    again += [{**again[0], b"id": b"\xff"}, {**again[0], b"format": b"2"}]
    rng.shuffle(again)
    replica = world.replica()
    fresh = world.replica("fresh", snapshots_kept=0)

    async def main() -> None:
        async with replica.running(), fresh.running():
            await until(lambda: replica.follower.is_current and fresh.follower.is_current)
            last = b""
            for fields in again:
                last = redis_client.xadd(LOG, fields)  # type: ignore[assignment]
            for one in (replica, fresh):
                assert await one.follower.wait_for(last.decode(), 10)
                assert one.intake.counts.poisoned == 5
                assert one.follower.counts.loads <= 1
            assert_alike(replica, other)
            assert_alike(fresh, other)

    asyncio.run(main())
    assert known.numbers == [1, 2]


def test_a_removal_that_comes_before_the_post_it_undoes_stays(
    world: World, redis_client: redis.Redis
) -> None:
    replica = world.replica()

    async def main() -> None:
        async with replica.running():
            await replica.post(1, "first")
            await until(lambda: replica.follower.is_current)
            redis_client.incrby("{fs}:rev", 10)
            redis_client.set("{fs}:item:x", '{"op":"delete","rev":9,"id":"x","content":null}')
            redis_client.zadd(ITEMS, {"x": 9})
            redis_client.xadd(LOG, {"format": "1", "id": "x", "rev": "9", "op": "delete"})
            last = redis_client.xadd(LOG, {"format": "1", "id": "x", "rev": "8", "op": "put"})
            assert isinstance(last, bytes)
            assert await replica.follower.wait_for(last.decode(), 10)
            assert "x" not in replica.generation
            assert replica.generation.known_rev("x") == 9

    asyncio.run(main())
    assert "x" not in world.replica().generation


def test_two_replicas_converge_through_trims_resets_and_restarts(
    world: World, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile_module, "LOOK_S", 0.02)
    rng = random.Random(7)

    async def turn(a: Replica, b: Replica) -> None:
        async with a.running(), b.running():
            await until(lambda: a.follower.is_current and b.follower.is_current)
            tasks = [
                asyncio.ensure_future(
                    Reconciler(one.generation, one.store, one.intake, one.follower).run(0.05)
                )
                for one in (a, b)
            ]
            for step in range(6):
                writer = rng.choice((a, b))
                await writer.post(4, rng.choice("xyz"))
                await writer.items.delete(f"x{rng.randrange(4)}")
                match rng.randrange(4):
                    case 0:
                        redis_client.xtrim(LOG, maxlen=1, approximate=False)
                    case 1:
                        redis_client.delete(LOG)
                    case 2 if step == 3:
                        redis_client.flushall()
                    case _:
                        await writer.duty.attempt()
            await until(lambda: a.generation.checksum == b.generation.checksum)
            await until(lambda: redis_client.zcard(ITEMS) == a.generation.changes)
            for task in tasks:
                task.cancel()
            assert_alike(a, b)

    for _ in range(3):
        a, b = world.replica("a"), world.replica("b")
        asyncio.run(turn(a, b))


def test_a_snapshots_folder_of_a_stranger_harms_nothing(world: World, tmp_path: Path) -> None:
    known = filled(world)
    folder = kept_in(known.settings).folder / "tiny-1"
    (folder / "notes.txt").write_text("mine")
    (folder / "00000007").mkdir()
    (folder / "99999999.unfinished").mkdir()
    (folder / "00000008").symlink_to(tmp_path)
    assert_alike(world.replica(), known)
