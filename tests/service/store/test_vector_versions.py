"""Redis knows whose vectors it keeps, whatever happens while they are kept and removed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import pytest
import redis

from service.records import ItemRecord
from service.store import Link, Store, StoreUnavailable
from tests.service.made import unit_vectors
from tests.tiny import tiny_schema

T = TypeVar("T")
VECTORS = unit_vectors(2, seed=1)
MANY = 1100  # more than are read at once


def with_store(url: str, use: Callable[[Store], Awaitable[T]]) -> T:
    async def run() -> T:
        store = Store(Link(url, timeout_s=2.0), tiny_schema())
        try:
            return await use(store)
        finally:
            await store.link.close()

    return asyncio.run(run())


async def written(store: Store, *versions: str) -> None:
    """Write items with the first version, and keep the vectors that the others gave them."""
    ids = [f"x:{number}" for number in range(MANY)]
    items = [(ItemRecord(one, 0, "put", {"topics": ["art"]}), VECTORS[0]) for one in ids]
    await store.write_items(items, versions[0], 0)
    kept = [(one, rev + 1, VECTORS[1]) for rev, one in enumerate(ids)]
    for version in versions:
        await store.keep_vectors(version, kept)


def count(client: redis.Redis, version: str) -> int:
    return len(client.keys(f"{{fs}}:vec:{version}:*"))


def test_vectors_of_versions_that_are_not_named_go_and_the_others_stay(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def use(store: Store) -> list[list[str]]:
        await written(store, "v1", "v2", "v3")
        return [await store.vectors.forget_others(["v2", "v9"]) for _ in range(2)]

    assert with_store(redis_url, use) == [["v1", "v3"], []]
    assert [count(redis_client, one) for one in ("v1", "v2", "v3")] == [0, MANY, 0]
    assert redis_client.smembers("{fs}:versions") == {b"v2"}
    assert redis_client.zcard("{fs}:items") == len(redis_client.keys("{fs}:item:*")) == MANY


def test_what_was_forgotten_is_kept_again_once_it_is_noted(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def use(store: Store) -> list[str]:
        await written(store, "v1")
        await store.vectors.forget_others([])
        await written(store, "v1")
        assert count(redis_client, "v1") == MANY
        return await store.vectors.forget_others([])

    assert with_store(redis_url, use) == ["v1"]


@pytest.mark.parametrize("way", ["written", "made by a reader", "announced"])
def test_whatever_keeps_a_vector_notes_its_version_with_it(
    redis_url: str, redis_client: redis.Redis, way: str
) -> None:
    item = ItemRecord("x", 0, "put", {"topics": ["art"]})

    async def use(store: Store) -> None:
        if way == "announced":
            await store.revs.announce([(replace(item, rev=7), VECTORS[0])], "v1")
            return
        await store.write_item(item, VECTORS[0], "v1", 0)
        if way == "made by a reader":
            redis_client.delete("{fs}:versions", "{fs}:vec:v1:x")
            await store.keep_vectors("v1", [("x", 1, VECTORS[0])])

    with_store(redis_url, use)
    assert count(redis_client, "v1") == 1
    assert redis_client.smembers("{fs}:versions") == {b"v1"}


def test_a_removal_keeps_no_vector_and_notes_no_version(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def use(store: Store) -> None:
        await store.write_item(ItemRecord("x", 0, "delete"), None, "v1", 0)

    with_store(redis_url, use)
    assert not redis_client.exists("{fs}:versions")


def test_who_ends_in_the_middle_and_who_keeps_a_vector_meanwhile_lose_no_note(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def use(store: Store) -> list[list[str]]:
        await written(store, "v1", "v2")
        pages = store.revs.pages

        async def ends(most: int) -> AsyncIterator[list[tuple[bytes, int]]]:
            async for page in pages(most):
                yield page
                await store.keep_vectors("v2", [("x:0", 1, VECTORS[1])])
                raise StoreUnavailable("for a test")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store.revs, "pages", ends)
            with pytest.raises(StoreUnavailable):
                await store.vectors.forget_others([])
        assert count(redis_client, "v2") > 1
        return [await store.vectors.forget_others([]) for _ in range(2)]

    assert with_store(redis_url, use) == [["v1", "v2"], []]
    assert count(redis_client, "v1") == count(redis_client, "v2") == 0


def test_a_vector_that_is_kept_while_its_version_is_forgotten_is_forgotten_next(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def use(store: Store) -> list[list[str]]:
        await written(store, "v1")
        pages = store.revs.pages

        async def kept_behind(most: int) -> AsyncIterator[list[tuple[bytes, int]]]:
            async for page in pages(most):
                yield page
                await store.keep_vectors("v1", [("x:0", 1, VECTORS[1])])

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store.revs, "pages", kept_behind)
            first = await store.vectors.forget_others([])
        assert count(redis_client, "v1") == 1
        return [first, await store.vectors.forget_others([])]

    assert with_store(redis_url, use) == [["v1"], ["v1"]]
    assert count(redis_client, "v1") == 0
