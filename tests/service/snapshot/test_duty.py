"""Snapshots of a replica that serves: when they are written, and what a start from one reads."""

import asyncio
from pathlib import Path

import pytest
import redis

import service.snapshot.duty as module
from export.embedder import Embedder
from service.settings import Settings
from service.snapshot import kept_in
from service.store import Position, Store
from tests.service.snapshot.made import assert_same
from tests.service.snapshot.world import Replica, World
from tests.service.test_follower import until


@pytest.fixture
def world(redis_url: str, bundle_folder: Path, embedder: Embedder, tmp_path: Path) -> World:
    return World(redis_url, bundle_folder, embedder, tmp_path)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.02)
    monkeypatch.setattr(module, "SLICE", 3)


def counting_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note every item that any store reads from now on."""
    read: list[str] = []
    usual = Store.read_items

    async def noted(self: Store, ids: list[str], version: str) -> object:
        read.extend(ids)
        return await usual(self, ids, version)

    monkeypatch.setattr(Store, "read_items", noted)
    return read


def test_a_start_reads_the_snapshot_and_only_what_came_after_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = world.replica()

    async def first() -> None:
        async with replica.running():
            await replica.post(10)
            await replica.items.delete("i3")
            await replica.post(1, "last")

    asyncio.run(first())
    assert replica.numbers == [1]  # at the end
    other = world.replica("elsewhere", snapshots_kept=0)

    async def second() -> None:
        async with other.running():
            await other.post(3, "later")
            await other.items.delete("x0")
            await other.post(1, "last")

    asyncio.run(second())
    assert other.numbers == []
    known = other.generation
    read = counting_reads(monkeypatch)
    new = world.replica()
    assert sorted(set(read)) == ["last0", "later0", "later1", "later2", "x0"]
    assert new.generation.checksum == known.checksum
    for one in known.changed():
        assert new.generation.get(one) == known.get(one)
    read.clear()

    async def go_on() -> None:
        async with new.running():
            await until(lambda: new.follower.is_current)
            assert new.follower.counts.loads == 0
            assert read == []

    asyncio.run(go_on())


@pytest.mark.parametrize(
    ("options", "is_written"),
    [
        ({"snapshot_entries": 5}, True),
        ({"snapshot_entries": 500}, False),
        ({"snapshot_s": 0.1}, True),
        ({"snapshot_s": 100}, False),
        ({"snapshot_s": 0.1, "snapshots_kept": 0}, False),
    ],
)
def test_a_snapshot_is_due_after_so_many_entries_or_seconds(
    world: World, options: dict[str, float], is_written: bool
) -> None:
    replica = world.replica("data", **options)

    async def main() -> None:
        async with replica.running():
            await replica.post(1, "first")  # with the log's first epoch all items are read
            await until(lambda: replica.follower.counts.loads == 1 and replica.follower.is_current)
            await replica.post(8)
            if is_written:
                await until(lambda: replica.numbers != [])
            else:
                await asyncio.sleep(0.4)
                assert replica.numbers == []

    asyncio.run(main())


def test_so_many_snapshots_are_kept_and_nothing_new_makes_no_new_one(world: World) -> None:
    replica = world.replica(snapshots_kept=3, snapshot_s=1000)

    async def main() -> None:
        async with replica.running():
            for n in range(5):
                await replica.post(2, f"x{n}-")
                assert await replica.duty.write() is not None
                assert await replica.duty.write() is None
        assert replica.numbers == [3, 4, 5]

    asyncio.run(main())


@pytest.mark.parametrize(("snapshot_s", "is_written"), [(1000, False), (0.01, True)])
def test_one_that_is_replaced_writes_a_last_one_only_where_the_newest_is_old(
    world: World, monkeypatch: pytest.MonkeyPatch, snapshot_s: float, is_written: bool
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 1000)  # none is written before

    async def leave(replica: Replica, *, is_replaced: bool) -> list[int]:
        async with replica.running():
            await replica.post(3, f"x{len(replica.numbers)}-")
            await replica.duty.stop(is_replaced=is_replaced)
            return replica.numbers

    first = world.replica(snapshot_s=1000)
    assert asyncio.run(leave(first, is_replaced=True)) == [1]  # there was none
    second = world.replica(snapshot_s=snapshot_s, snapshot_entries=1000)
    assert asyncio.run(leave(second, is_replaced=True)) == ([1, 2] if is_written else [1])


def test_two_replicas_of_a_data_folder_write_one_snapshot(world: World) -> None:
    a, b = world.replica(snapshot_s=0.1), world.replica(snapshot_s=0.1)

    async def main() -> None:
        async with a.running(), b.running():
            await a.post(5)
            assert a.generation.position is not None
            await until(lambda: b.generation.checksum == a.generation.checksum)
            await until(lambda: a.numbers != [] and a.follower.is_current)
            await asyncio.sleep(0.5)
            numbers = a.numbers
        assert a.numbers == numbers

    asyncio.run(main())


def test_a_snapshot_that_cannot_be_written_is_told_and_serving_goes_on(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    (world.folder / "data").mkdir()
    (world.folder / "data" / "snapshots").write_text("in the way")
    replica = world.replica()

    async def main() -> None:
        async with replica.running():
            await replica.post(3)
            assert await replica.duty.attempt() is None
            with pytest.raises(NotADirectoryError):
                await replica.duty.write()
            assert "x1" in replica.generation

    asyncio.run(main())
    assert "snapshot not written" in caplog.text


@pytest.mark.parametrize("log_kept_s", [0, 3600])
def test_the_log_is_trimmed_up_to_the_oldest_snapshot_that_anyone_needs(
    world: World, redis_client: redis.Redis, log_kept_s: int
) -> None:
    slow = world.replica("slow", snapshots_kept=1, log_kept_s=log_kept_s)
    busy = world.replica("busy", snapshots_kept=2, log_kept_s=log_kept_s)

    async def main() -> None:
        async with slow.running(), busy.running():
            await busy.post(300, "a")
            end = str((await busy.store.log.state()).last)
            assert await slow.follower.wait_for(end, 10)
            assert await busy.follower.wait_for(end, 10)
            assert await slow.duty.write() is not None
            needed = slow.generation.position
            assert needed is not None
            for name in "bcd":
                await busy.post(300, name)
                assert await busy.duty.write() is not None
            state = await busy.store.log.state()
            assert state.first is not None
            assert state.first <= needed.cursor
            assert (redis_client.xlen("{fs}:log") < 1200) == (log_kept_s == 0)
            end = str((await busy.store.log.state()).last)
            assert await slow.follower.wait_for(end, 10)
            assert await busy.follower.wait_for(end, 10)
            assert await slow.duty.write() is not None  # and now it needs no more
            await busy.post(300, "e")
            assert await busy.duty.write() is not None
            assert (redis_client.xlen("{fs}:log") < 800) == (log_kept_s == 0)
            state = await busy.store.log.state()
            cursor = kept_in(busy.settings).oldest_cursor(state.epoch)
            assert cursor is not None
            assert state.continues(Position(state.epoch, cursor))

    asyncio.run(main())


def test_where_redis_is_down_at_the_start_the_snapshot_serves(world: World) -> None:
    replica = world.replica()

    async def first() -> None:
        async with replica.running():
            await replica.post(6)
            await replica.items.delete("x2")
            await replica.post(1, "last")

    asyncio.run(first())
    known = replica.generation
    data = world.folder / "data"
    told = {"redis": f"unix://{world.folder}/no.sock", "data_folder": data}
    settings = Settings.model_validate(told)
    down = Replica(settings, world.bundle, world.embedder)
    assert_same(down.generation, known)
    assert down.generation.position == known.position


def test_a_damaged_file_beside_the_snapshots_ends_no_duty_for_good(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.05)
    replica = world.replica(snapshot_s=0.1)
    folder = kept_in(replica.settings).folder
    folder.mkdir(parents=True)
    (folder / "replica").write_bytes(b"\xff")

    async def main() -> None:
        async with replica.running():
            await replica.post(1)
            await until(lambda: "snapshot not written" in caplog.text)
            (folder / "replica").unlink()
            await replica.post(1, "later")
            await until(lambda: replica.numbers == [1, 2])

    asyncio.run(main())
