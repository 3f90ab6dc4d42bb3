import asyncio
from pathlib import Path

import pytest

import service.generation as module
from export.contract.errors import BundleError
from export.embedder import Embedder
from service.generation import Generation
from service.intake import Intake
from service.items import Items
from service.processes.preparation import prepare
from service.snapshot import Snapshots
from service.store import Link, Store


def post(url: str, generation: Generation, embedder: Embedder, count: int) -> None:
    async def main() -> None:
        store = Store(Link(url), generation.schema)
        items = Items(generation, embedder, store, Intake(store, generation, embedder))
        await items.post([{"id": f"x{n}", "topics": ["food"], "length": n} for n in range(count)])
        await items.delete("i3")
        await store.link.close()

    asyncio.run(main())


@pytest.mark.parametrize("many", [5, 1000])
def test_a_prepared_generation_serves_what_was_posted_before(
    redis_url: str,
    generation: Generation,
    embedder: Embedder,
    bundle_folder: Path,
    many: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "GROW_AT", many)
    post(redis_url, generation, embedder, 20)
    new = Generation.load(bundle_folder)
    prepare(new, Store(Link(redis_url), new.schema), Snapshots(tmp_path, 2))
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


def test_without_a_store_the_bundle_is_served_as_it_is(
    generation: Generation, tmp_path: Path
) -> None:
    store = Store(Link("unix:///nowhere/redis.sock"), generation.schema)
    prepare(generation, store, Snapshots(tmp_path, 2))
    assert len(generation) == 40


def test_who_takes_over_from_others_needs_the_items_that_they_serve(
    bundle_folder: Path, tmp_path: Path
) -> None:
    def store(generation: Generation) -> Store:
        return Store(Link("unix:///nowhere/redis.sock"), generation.schema)

    first, second = (Generation.load(bundle_folder) for _ in range(2))
    prepare(first, store(first), Snapshots(tmp_path, 2))  # nobody else serves: better than nothing
    with pytest.raises(BundleError, match="items cannot be read, and others serve them"):
        prepare(second, store(second), Snapshots(tmp_path, 2), takes_over=True)
