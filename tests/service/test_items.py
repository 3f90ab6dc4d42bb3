import asyncio
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
import pytest
import redis

from export.contract.errors import RecordError, SchemaError
from export.contract.schema import Record, SideName
from export.embedder import Embedder, Vectors
from service.generation import Generation
from service.items import DeltaFull, Items, Outcome, Posted
from service.store import Store, StoreUnavailable


@pytest.fixture
def run(
    redis_url: str, generation: Generation, embedder: Embedder
) -> Callable[[Callable[[Items], Awaitable[None]]], None]:
    def run(use: Callable[[Items], Awaitable[None]]) -> None:
        async def main() -> None:
            store = Store(redis_url, generation.schema, timeout_s=2.0)
            try:
                await use(Items(generation, embedder, store, delta_most=300))
            finally:
                await store.close()

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

    def overflows(side: SideName, records: Sequence[Record]) -> Vectors:
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
        store = Store("unix:///nowhere/redis.sock", generation.schema)
        items = Items(generation, embedder, store)
        outcomes = await items.post([{"id": "x"}, {"id": "y", "length": "long"}])
        assert [type(outcome) for outcome in outcomes] == [StoreUnavailable, RecordError]
        with pytest.raises(StoreUnavailable):
            await items.delete("i1")
        await store.close()

    asyncio.run(main())
    assert "x" not in generation
    assert "i1" in generation
