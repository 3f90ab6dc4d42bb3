import asyncio
from pathlib import Path

import pytest

import service.generation as module
from export.embedder import Embedder
from service.generation import Generation
from service.items import Items
from service.preparation import prepare
from service.refresh import Follower
from service.store import Store


def post(url: str, generation: Generation, embedder: Embedder, count: int) -> None:
    async def main() -> None:
        store = Store(url, generation.schema)
        follower = Follower(store, generation, embedder)
        items = Items(generation, embedder, store, follower.refresh)
        await items.post([{"id": f"x{n}", "topics": ["food"], "length": n} for n in range(count)])
        await items.delete("i3")
        await store.close()

    asyncio.run(main())


@pytest.mark.parametrize("many", [5, 1000])
def test_a_prepared_generation_serves_what_was_posted_before(
    redis_url: str,
    generation: Generation,
    embedder: Embedder,
    bundle_folder: Path,
    many: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "DELTA_MANY", many)
    post(redis_url, generation, embedder, 20)
    new = Generation.load(bundle_folder)
    prepare(new, Store(redis_url, new.schema))
    assert len(new) == len(generation) == 59
    assert new.highest_rev == generation.highest_rev
    assert new.delta_size == (0 if many == 5 else 20)
    assert "i3" not in new
    for one in ("x0", "x19", "i4"):
        assert new.get(one) == generation.get(one)
        vector = new.vector(one)
        assert vector is not None
        [found] = new.search(vector[None], [1], [()])
        assert found.scores == pytest.approx([1.0], abs=1e-5)


def test_without_a_store_the_bundle_is_served_as_it_is(generation: Generation) -> None:
    prepare(generation, Store("unix:///nowhere/redis.sock", generation.schema))
    assert len(generation) == 40
