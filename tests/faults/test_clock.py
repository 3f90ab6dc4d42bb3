"""Clocks that step, of the service and of Redis: order is by revs and log ids, and nothing else."""

import asyncio
import random
import time
from collections.abc import Iterable

import pytest
import redis

from service.duties.reconcile import Reconciler
from service.items import Posted
from service.store import LogId
from tests.service.snapshot.world import Replica, World
from tests.service.test_follower import until

DAY_S = 86_400
STEPS = 12


def test_a_service_whose_clock_steps_serves_what_was_written_last(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step is up to a thousand days forward or back, before every write and every start."""
    rng, real = random.Random(5), time.time
    shift_s = 0.0
    monkeypatch.setattr(time, "time", lambda: real() + shift_s)
    written: dict[str, float] = {}

    def step_clock() -> None:
        nonlocal shift_s
        shift_s = rng.uniform(-1000, 1000) * DAY_S

    async def write(replica: Replica, step: int) -> None:
        async with replica.running():
            for one in ("a", "b", f"c{step}"):
                step_clock()
                written[one] = float(rng.randrange(1000))
                [posted] = await replica.items.post([{"id": one, "length": written[one]}])
                assert isinstance(posted, Posted)
                assert await replica.follower.wait_for(posted.log_id, 10)
            if step % 3 == 2:
                await replica.items.delete("b")
                del written["b"]
            await until(replica.knows_the_log)
            assert replica.follower.lag.seconds >= 0

    for step in range(STEPS):
        step_clock()
        replica = world.replica(f"r{step % 2}")
        assert lengths(replica, written) == written
        asyncio.run(write(replica, step))
    last, other = world.replica("r0"), world.replica("elsewhere", snapshots_kept=0)
    assert last.generation.checksum == other.generation.checksum
    assert lengths(last, written) == written


def lengths(replica: Replica, ids: Iterable[str]) -> dict[str, object]:
    found = {one: replica.generation.get(one) for one in ids}
    return {one: item and item.record["length"] for one, item in found.items()}


def test_a_redis_whose_clock_was_a_day_ahead_goes_on_in_order(
    world: World, redis_client: redis.Redis
) -> None:
    """Ids of its log stay a day ahead from then on; nothing is trimmed, read or lost by them."""
    early, late = world.replica("early"), world.replica("late")

    async def write() -> None:
        async with early.running(), late.running():
            await early.post(3, "before")
            rev = int(redis_client.zscore("{fs}:items", "before0") or 0)
            ahead = f"{round((time.time() + DAY_S) * 1000)}-0"
            entry = {"format": 1, "id": "before0", "rev": rev, "op": "put"}
            redis_client.xadd("{fs}:log", entry, id=ahead)  # type: ignore[arg-type]
            outcomes = await early.items.post([{"id": f"after{n}", "length": n} for n in range(5)])
            last = outcomes[-1]
            assert isinstance(last, Posted)
            newest = last.log_id
            assert LogId.parse(newest) > LogId.parse(ahead)
            for replica in (early, late):
                assert await replica.follower.wait_for(newest, 10)
                assert all(f"after{n}" in replica.generation for n in range(5))
                assert replica.follower.lag.seconds >= 0
            removed = await late.items.delete("before1")
            assert await early.follower.wait_for(str(removed.log_id), 10)
            assert "before1" not in early.generation
            for replica in (early, late):
                found = await Reconciler(
                    replica.generation, replica.store, replica.intake, replica.follower
                ).reconcile()
                assert (found.read, found.announced) == (0, 0)

    asyncio.run(write())
    again = world.replica("early")
    assert again.generation.checksum == late.generation.checksum
    assert early.follower.counts.loads <= 1  # it was not taken for another log
