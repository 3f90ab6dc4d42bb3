import asyncio
from collections.abc import Awaitable, Callable

import pytest
import redis

from export.contract.errors import RecordError
from service.store import Store
from service.users import Users
from tests.tiny import tiny_schema


def with_users(url: str, use: Callable[[Users], Awaitable[None]]) -> None:
    async def main() -> None:
        store = Store(url, tiny_schema(), timeout_s=2.0)
        try:
            await use(Users(tiny_schema(), store))
        finally:
            await store.close()

    asyncio.run(main())


def test_a_user_reads_back_as_put_and_is_gone_when_erased(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def use(users: Users) -> None:
        assert await users.get("u") is None
        record = {"id": "u", "country": "de", "age": None, "recent": ["i1", "i2"]}
        user, created = await users.put(record, preference_as_of="monday")
        assert created
        assert user.id == "u"
        assert (user.state, user.dropped) == ("warm", [])
        read = await users.get("u")
        assert read == user
        assert read.stored.record == {"country": "de", "recent": ["i1", "i2"]}
        assert read.stored.preference_as_of == "monday"
        user, created = await users.put({"id": "u", "age": 3}, preference_as_of="monday")
        assert not created
        assert (user.state, user.dropped) == ("cold", ["preference"])
        assert user.stored.preference_as_of is None
        assert await users.get("u") == user
        assert await users.delete("u")
        assert not await users.delete("u")
        assert await users.get("u") is None

    with_users(redis_url, use)
    assert redis_client.keys("fs:user:*") == []


def test_context_is_never_stored(redis_url: str, redis_client: redis.Redis) -> None:
    async def use(users: Users) -> None:
        with pytest.raises(RecordError, match="'tab'"):
            await users.put({"id": "u", "tab": "1"})

    with_users(redis_url, use)
    assert redis_client.dbsize() == 0


def test_what_another_version_stored_is_read_as_far_as_it_goes(
    redis_url: str, redis_client: redis.Redis
) -> None:
    stored = b'{"id":"u","content":{"age":3,"mood":1},"preference":{"recent":"i1"},"new":{}}'
    redis_client.set("fs:user:u", stored)

    async def use(users: Users) -> None:
        user = await users.get("u")
        assert user is not None
        assert user.stored.record == {"age": 3.0}
        assert user.stored.ignored == 2
        assert user.state == "cold"

    with_users(redis_url, use)
