import asyncio
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable

import orjson
import pytest
import redis

from export.contract.errors import RecordError
from service.store import Link, Store, StoreUnavailable
from service.users import Users
from tests.service.kept import kept
from tests.tiny import tiny_schema


def with_users(url: str, use: Callable[[Users], Awaitable[None]]) -> None:
    async def main() -> None:
        store = Store(Link(url, timeout_s=2.0), tiny_schema())
        try:
            await use(Users(tiny_schema(), store))
        finally:
            await store.link.close()

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


def test_a_patch_merges_features_into_what_is_stored_also_where_that_is_nothing(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def use(users: Users) -> None:
        user, created = await users.patch("u", {"country": "de", "age": 3})
        assert created
        assert (user.stored.record, user.state) == ({"country": "de", "age": 3.0}, "cold")
        user, created = await users.patch("u", {"age": None, "recent": ["i1"], "taste": {"art": 1}})
        assert not created
        expected = {"country": "de", "recent": ["i1"], "taste": {"art": 1.0}}
        assert (user.stored.record, user.state, user.dropped) == (expected, "warm", [])
        assert await users.get("u") == user
        user, _ = await users.patch("u", {"preference": None, "taste": {"food": 2}})
        assert user.stored.record == {"country": "de", "taste": {"food": 2.0}}
        user, _ = await users.patch("u", {"preference": None})
        assert (user.stored.record, user.dropped) == ({"country": "de"}, ["preference"])
        user, _ = await users.patch("u", {"country": None})
        assert (user.stored.record, user.state) == ({}, "fallback")

    with_users(redis_url, use)
    assert kept(redis_client, "fs:user:u").startswith(b'{"written_at":')


def test_as_of_stays_until_preference_is_patched(redis_url: str) -> None:
    async def use(users: Users) -> None:
        await users.put({"id": "u", "recent": ["i1"]}, preference_as_of="monday")
        user, _ = await users.patch("u", {"age": 3})
        assert user.stored.preference_as_of == "monday"
        user, _ = await users.patch("u", {"recent": ["i2"]})
        assert user.stored.preference_as_of is None

    with_users(redis_url, use)


@pytest.mark.parametrize(
    "patch", [{"tab": "1"}, {"age": "old"}, {"mood": 1}, {"country": "\ud800"}]
)
def test_a_bad_patch_stores_nothing(
    redis_url: str, redis_client: redis.Redis, patch: dict[str, object]
) -> None:
    async def use(users: Users) -> None:
        with pytest.raises(RecordError):
            await users.patch("u", {"age": 3, **patch})

    with_users(redis_url, use)
    assert redis_client.dbsize() == 0


def test_what_another_version_knows_of_a_user_outlives_a_patch(
    redis_url: str, redis_client: redis.Redis
) -> None:
    stored = b'{"id":"u","content":{"age":3,"mood":1},"preference":{"recent":"i1","zest":[2]}}'
    redis_client.set("fs:user:u", stored)

    async def use(users: Users) -> None:
        user, created = await users.patch("u", {"age": 4})
        assert not created
        assert user.stored.record == {"age": 4.0}

    with_users(redis_url, use)
    patched = orjson.loads(redis_client.get("fs:user:u") or b"")
    assert patched["content"] == {"age": 4.0, "mood": 1}
    assert patched["preference"] == {"recent": "i1", "zest": [2]}


@pytest.mark.parametrize("stored", [b"", b"no record", b'{"id":"v","content":{"age":1}}'])
def test_what_is_no_record_of_a_user_counts_as_nothing_in_a_patch(
    redis_url: str, redis_client: redis.Redis, stored: bytes
) -> None:
    redis_client.set("fs:user:u", stored)

    async def use(users: Users) -> None:
        user, _ = await users.patch("u", {"country": "de"})
        assert user.stored.record == {"country": "de"}

    with_users(redis_url, use)


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


def test_a_user_who_is_asked_for_by_id_is_refused_as_soon_as_a_write(
    own_redis: "tuple[subprocess.Popen[bytes], str]",
) -> None:
    process, url = own_redis

    async def main() -> None:
        store = Store(Link(url, timeout_s=30.0, write_timeout_s=0.2), tiny_schema())
        users = Users(tiny_schema(), store)
        process.send_signal(signal.SIGSTOP)
        try:
            for most_s in (1.0, 1.0, 1.0, 0.1):  # the last by the breaker
                before_s = time.monotonic()
                with pytest.raises(StoreUnavailable):
                    await users.get("u")
                assert time.monotonic() - before_s < most_s
        finally:
            process.send_signal(signal.SIGCONT)
            await store.link.close()

    asyncio.run(main())
