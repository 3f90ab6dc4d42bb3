import asyncio
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
import redis

from export.contract.errors import RecordError, SchemaError
from export.contract.side import Record, SideName
from export.embedder import Embedder, Vectors
from service.errors import Overloaded, UnknownItem
from service.generation import Generation
from service.intake import Intake
from service.items import DeltaFull, Items, Outcome, Posted
from service.store import Link, Store, StoreUnavailable


@pytest.fixture
def run(
    redis_url: str, generation: Generation, embedder: Embedder
) -> Callable[[Callable[[Items], Awaitable[None]]], None]:
    def run(use: Callable[[Items], Awaitable[None]]) -> None:
        async def main() -> None:
            store = Store(Link(redis_url, timeout_s=2.0), generation.schema)
            try:
                intake = Intake(store, generation, embedder)
                await use(Items(generation, embedder, store, intake, delta_most=300))
            finally:
                await store.link.close()

        asyncio.run(main())

    return run


Run = Callable[[Callable[[Items], Awaitable[None]]], None]


def posted(outcome: Outcome) -> Posted:
    assert isinstance(outcome, Posted), outcome
    return outcome


def test_a_posted_item_is_found_at_once_by_what_it_is(
    run: Run, generation: Generation, embedder: Embedder
) -> None:
    async def use(items: Items) -> None:
        [outcome] = await items.post([{"id": "x", "topics": ["travel"], "length": 5}])
        item = posted(outcome)
        assert (item.state, item.dropped, item.created) == ("cold", ["preference"], True)
        assert item.version == "tiny-1"
        [expected] = embedder.embed("item", [{"topics": ["travel"], "length": 5.0}])
        np.testing.assert_array_equal(item.vector, expected)
        [found] = generation.search(expected[None], [1], [()])
        assert found.items == ["x"]
        read = items.get("x")
        assert read is not None
        assert read.record == {"topics": ["travel"], "length": 5.0}
        assert read.state == "cold"
        np.testing.assert_array_equal(read.vector, item.vector)

    run(use)


def test_a_bad_item_loses_no_good_one(run: Run, generation: Generation) -> None:
    bad: list[object] = [
        {"topics": ["art"]},
        {"id": "b", "length": "long"},
        "x",
        {"id": "b", "mood": 1},
        {"id": "b", "topics": ["\x1f"]},
        {"id": "b", "topics": ["\ud800"]},
        {"id": "b" * 257},
    ]
    batch: list[object] = []
    for n, one in enumerate(bad):
        batch += [{"id": f"x{n}", "length": n}, one]

    async def use(items: Items) -> None:
        outcomes = await items.post(batch)
        assert [type(outcome) for outcome in outcomes] == [Posted, RecordError] * len(bad)
        assert [posted(outcome).id for outcome in outcomes[::2]] == [f"x{n}" for n in range(7)]
        assert all(f"x{n}" in generation for n in range(7))
        assert "b" not in generation

    run(use)


def test_an_item_that_overflows_the_tower_loses_no_good_one(
    run: Run, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = embedder.embed

    def overflows(side: SideName, records: Sequence[Record], present: object) -> Vectors:
        if any(record.get("clicks") == 3e38 for record in records):  # no tiny tower is that steep
            raise SchemaError("the item tower gave a vector that is not of unit length")
        return real(side, records)

    monkeypatch.setattr(embedder, "embed", overflows)

    async def use(items: Items) -> None:
        outcomes = await items.post([{"id": "a"}, {"id": "huge", "clicks": 3e38}, {"id": "b"}])
        assert [posted(outcomes[0]).id, posted(outcomes[2]).id] == ["a", "b"]
        assert isinstance(outcomes[1], RecordError)
        assert items.get("huge") is None

    run(use)


def test_of_two_items_with_one_id_the_later_wins_and_both_are_reported(
    run: Run, generation: Generation
) -> None:
    async def use(items: Items) -> None:
        first, second = await items.post([{"id": "x", "length": 1}, {"id": "x", "length": 2}])
        assert posted(first).created
        assert not posted(second).created
        item = generation.get("x")
        assert item is not None
        assert item.record == {"length": 2.0}

    run(use)


def test_an_item_is_new_until_it_is_known_and_again_after_its_removal(run: Run) -> None:
    async def use(items: Items) -> None:
        created = [posted(one).created for one in await items.post([{"id": "x"}, {"id": "i1"}])]
        assert created == [True, False]
        await items.delete("x")
        await items.delete("i1")
        assert items.get("x") is None
        assert items.get("i1") is None
        created = [posted(one).created for one in await items.post([{"id": "x"}, {"id": "i1"}])]
        assert created == [True, True]

    run(use)


def test_a_removed_item_is_never_recalled(run: Run, generation: Generation) -> None:
    async def use(items: Items) -> None:
        await items.post([{"id": "x", "topics": ["art"]}])
        for one in ("x", "i0", "nobody"):
            assert await items.delete(one)
        vector = generation.vector("i6")
        assert vector is not None
        [found] = generation.search(vector[None], [100], [()])
        assert not {"x", "i0", "nobody"} & set(found.items)
        assert len(found.items) == 39

    run(use)


def test_content_posted_for_a_trained_item_keeps_its_preference(
    run: Run, redis_client: redis.Redis
) -> None:
    async def use(items: Items) -> None:
        [kept] = await items.post([{"id": "i2", "topics": ["food"]}])
        assert posted(kept).record == {"topics": ["food"], "clicks": 2.0}
        assert posted(kept).state == "warm"
        [forgotten] = await items.post([{"id": "i2", "topics": ["food"], "preference": None}])
        assert posted(forgotten).state == "cold"
        [given] = await items.post([{"id": "i2", "clicks": 9}])
        assert posted(given).record == {"clicks": 9.0}
        assert posted(given).state == "warm"
        as_of = f'"preference_as_of":"{posted(given).log_id}"'.encode()
        assert as_of in (redis_client.get("{fs}:item:i2") or b"")

    run(use)


def test_what_was_posted_of_preference_stays_until_it_is_posted_again_or_forgotten(
    run: Run, redis_client: redis.Redis
) -> None:
    async def use(items: Items) -> None:
        batch = [{"id": "x", "clicks": 9}, {"id": "x", "topics": ["food"]}]
        first, second = await items.post(batch)
        assert posted(second).record == {"topics": ["food"], "clicks": 9.0}
        as_of = f'"preference_as_of":"{posted(first).log_id}"'.encode()
        assert as_of in (redis_client.get("{fs}:item:x") or b"")
        [forgotten] = await items.post([{"id": "x", "preference": None}])
        assert posted(forgotten).record == {}
        await items.post([{"id": "x", "clicks": 5}])
        await items.delete("x")
        [back] = await items.post([{"id": "x", "length": 1}])
        assert posted(back).record == {"length": 1.0}

    run(use)


def test_a_patch_merges_features_into_what_is_served(run: Run, embedder: Embedder) -> None:
    async def patched(items: Items, **patch: object) -> Posted:
        item = posted(await items.patch("i2", patch))
        assert not item.created
        served = items.get("i2")
        assert served is not None
        assert served.record == item.record
        [vector] = embedder.embed("item", [item.record])
        np.testing.assert_allclose(served.vector, vector, atol=1e-6)
        return item

    async def use(items: Items) -> None:
        content = {"topics": ["food"], "length": 12.0}
        assert (await patched(items)).record == content | {"clicks": 2.0}
        assert (await patched(items, length=5)).record == content | {"length": 5, "clicks": 2.0}
        item = await patched(items, length=None, clicks=7)
        assert item.record == {"topics": ["food"], "clicks": 7.0}
        assert (item.state, item.dropped) == ("warm", [])
        item = await patched(items, preference=None)
        assert item.record == {"topics": ["food"]}
        assert (item.state, item.dropped) == ("cold", ["preference"])
        assert (await patched(items, clicks=1)).record == {"topics": ["food"], "clicks": 1.0}
        assert (await patched(items, preference=None, clicks=3)).record["clicks"] == 3.0
        assert (await patched(items, clicks=None, topics=None)).record == {}

    run(use)


def test_a_patch_of_an_item_that_is_not_there_creates_none(run: Run) -> None:
    async def use(items: Items) -> None:
        assert isinstance(await items.patch("nobody", {"length": 3}), UnknownItem)
        await items.delete("i2")
        assert isinstance(await items.patch("i2", {"length": 3}), UnknownItem)
        assert items.get("i2") is None

    run(use)


@pytest.mark.parametrize("patch", [{"mood": 1}, {"length": "long"}, {"topics": ["\ud800"]}])
def test_a_bad_patch_changes_nothing(run: Run, patch: dict[str, object]) -> None:
    async def use(items: Items) -> None:
        assert isinstance(await items.patch("i2", {"clicks": 3, **patch}), RecordError)
        served = items.get("i2")
        assert served is not None
        assert served.record == {"topics": ["food"], "length": 12.0, "clicks": 2.0}

    run(use)


@pytest.fixture
def run_two(
    redis_url: str, bundle_folder: Path, embedder: Embedder
) -> Callable[[Callable[[Items, Items], Awaitable[None]]], None]:
    """Two replicas that learn of each other's writes only when they must."""

    def run(use: Callable[[Items, Items], Awaitable[None]]) -> None:
        async def main() -> None:
            generations = [Generation.load(bundle_folder) for _ in range(2)]
            stores = [Store(Link(redis_url, timeout_s=2.0), one.schema) for one in generations]
            both = [
                Items(one, embedder, store, Intake(store, one, embedder))
                for one, store in zip(generations, stores, strict=True)
            ]
            try:
                await use(*both)
            finally:
                for store in stores:
                    await store.link.close()

        asyncio.run(main())

    return run


RunTwo = Callable[[Callable[[Items, Items], Awaitable[None]]], None]


def test_a_change_loses_nothing_that_another_replica_wrote_meanwhile(run_two: RunTwo) -> None:
    async def use(here: Items, there: Items) -> None:
        posted(await there.patch("i2", {"length": 5}))
        item = posted(await here.patch("i2", {"clicks": 8}))
        assert item.record == {"topics": ["food"], "length": 5.0, "clicks": 8.0}
        [kept] = await there.post([{"id": "i2", "topics": ["art"]}])
        assert posted(kept).record == {"topics": ["art"], "clicks": 8.0}
        posted(await there.patch("i4", {"length": None}))
        for n in range(20):
            changes = [here.patch("i4", {"length": n}), there.patch("i4", {"clicks": n})]
            changes += [here.patch("i4", {"topics": [f"t{n}"]}), here.patch("i4", {})]
            assert all(isinstance(outcome, Posted) for outcome in await asyncio.gather(*changes))
            for items in (here, there):
                item = posted(await items.patch("i4", {}))
                assert item.record == {"topics": [f"t{n}"], "length": n, "clicks": n}

    run_two(use)


def test_an_item_that_another_replica_just_posted_or_removed_is_so_for_a_patch(
    run_two: RunTwo,
) -> None:
    async def use(here: Items, there: Items) -> None:
        await there.post([{"id": "x", "length": 2}])
        assert posted(await here.patch("x", {"clicks": 1})).record == {"length": 2.0, "clicks": 1.0}
        await here.delete("x")
        assert isinstance(await there.patch("x", {"clicks": 1}), UnknownItem)
        assert there.get("x") is None

    run_two(use)


def test_what_is_stored_of_an_item_and_cannot_be_read_holds_no_change_up(
    run: Run, redis_client: redis.Redis
) -> None:
    async def use(items: Items) -> None:
        await items.post([{"id": "x", "length": 1}])
        redis_client.set("{fs}:item:x", b"no record")
        redis_client.zadd("{fs}:items", {"x": 77})
        assert posted(await items.patch("x", {"clicks": 1})).record == {
            "length": 1.0,
            "clicks": 1.0,
        }
        assert redis_client.zscore("{fs}:items", "x") == 78

    run(use)


def test_a_change_that_others_keep_overtaking_is_given_up(
    redis_url: str, redis_client: redis.Redis, generation: Generation, embedder: Embedder
) -> None:
    class Overtaken(Intake):
        async def look_up(self, changes: Iterable[tuple[str, int]]) -> None:
            for one, rev in changes:
                redis_client.zadd("{fs}:items", {one: rev + 1})

    async def main() -> None:
        store = Store(Link(redis_url, timeout_s=2.0), generation.schema)
        redis_client.zadd("{fs}:items", {"i2": 5})
        items = Items(generation, embedder, store, Overtaken(store, generation, embedder))
        [outcome, other] = await items.post([{"id": "i2"}, {"id": "i3"}])
        assert isinstance(outcome, Overloaded)
        assert posted(other).id == "i3"
        assert redis_client.exists("{fs}:item:i2") == 0
        await store.link.close()

    asyncio.run(main())


def test_an_item_of_which_nothing_is_known_is_still_served(run: Run) -> None:
    async def use(items: Items) -> None:
        [outcome] = await items.post([{"id": "x"}])
        assert posted(outcome).dropped == ["content", "preference"]
        assert items.get("x") is not None

    run(use)


def test_more_than_the_delta_takes_is_refused_and_removal_is_not(run: Run) -> None:
    async def use(items: Items) -> None:
        outcomes = await items.post([{"id": f"x{n}"} for n in range(400)])
        refused = [type(outcome) is DeltaFull for outcome in outcomes]
        first = refused.index(True)
        assert 300 <= first < 400
        assert all(refused[first:])
        await items.delete("x0")
        assert items.get("x0") is None

    run(use)


def test_nothing_is_served_that_was_not_written(generation: Generation, embedder: Embedder) -> None:
    async def main() -> None:
        store = Store(Link("unix:///nowhere/redis.sock"), generation.schema)
        items = Items(generation, embedder, store, Intake(store, generation, embedder))
        outcomes = await items.post([{"id": "x"}, {"id": "y", "length": "long"}])
        assert [type(outcome) for outcome in outcomes] == [StoreUnavailable, RecordError]
        with pytest.raises(StoreUnavailable):
            await items.delete("i1")
        for one in ("i1", "unknown-here"):
            assert isinstance(await items.patch(one, {"length": 3}), StoreUnavailable)
        await store.link.close()

    asyncio.run(main())
    assert "x" not in generation
    assert "i1" in generation


def test_a_patch_that_must_look_up_its_item_is_refused_as_soon_as_a_write(
    own_redis: "tuple[subprocess.Popen[bytes], str]", generation: Generation, embedder: Embedder
) -> None:
    process, url = own_redis

    async def main() -> None:
        store = Store(Link(url, write_timeout_s=0.2), generation.schema)
        items = Items(generation, embedder, store, Intake(store, generation, embedder))
        process.send_signal(signal.SIGSTOP)
        try:
            for most_s in (1.0, 1.0, 1.0, 0.1):  # the last by the breaker
                before_s = time.monotonic()
                assert isinstance(await items.patch("x", {"length": 1}), StoreUnavailable)
                assert time.monotonic() - before_s < most_s
        finally:
            process.send_signal(signal.SIGCONT)
            await store.link.close()

    asyncio.run(main())
