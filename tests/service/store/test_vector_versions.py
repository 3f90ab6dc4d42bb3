import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import redis

from service.records import ItemRecord
from service.store import Link, Store
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
        await store.vectors.note(version)
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
