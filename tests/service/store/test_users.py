"""Conditional writes and erasures, each command of one held back until the other's has run."""

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from itertools import combinations
from typing import Any

import orjson
import pytest
import redis
from redis.asyncio import ConnectionPool, Redis, UnixDomainSocketConnection

from service.records import Groups, UserRecord, merge_user
from service.redis.url import read_url
from service.store import Contended, Kept
from service.store.breaker import Breaker
from service.store.connection import connect
from service.store.keys import Keys
from service.store.nodes import Node, OneNode
from service.store.users import UserWriter
from tests.service.kept import kept

LATER_S = 4e9
"""After everything that a test writes."""
OURS = UserRecord("u", {"age": 1.0})
TABLE = UserRecord("u", {"age": 2.0})
USERS_KEPT_S = 0
"""Of the writers below, unless a test says otherwise."""
Work = Callable[[UserWriter], Awaitable[object]]


def writer_of(client: Redis, kept_s: int) -> UserWriter:
    breaker = Breaker("writes", client, 10.0, lambda: None)
    return UserWriter(OneNode(Node(client, breaker)), Keys("fs"), kept_s, USERS_KEPT_S)


async def run(url: str, work: Work, kept_s: int = 60) -> object:
    client = connect(read_url(url), 10.0, connections=2)
    try:
        return await work(writer_of(client, kept_s))
    except Kept as kept:
        return kept.reason
    finally:
        await client.aclose()


def do(url: str, work: Work, kept_s: int = 60) -> object:
    return asyncio.run(run(url, work, kept_s))


def erase(writer: UserWriter) -> Awaitable[object]:
    return writer.delete("u")


def put(writer: UserWriter) -> Awaitable[object]:
    return writer.put(OURS)


def load(writer: UserWriter, since_s: float = LATER_S) -> Awaitable[object]:
    return writer.put_unmodified(TABLE, since_s)


async def return_after_erasure(writer: UserWriter) -> object:
    await writer.delete("u")
    return await writer.put(OURS)


class Gate:
    """Holds every command back until a step is made."""

    def __init__(self) -> None:
        self.is_held = False
        self.reached = asyncio.Event()
        self._opened = asyncio.Semaphore(0)

    async def wait(self) -> None:
        if self.is_held:
            self.reached.set()
            await self._opened.acquire()

    def open_once(self) -> None:
        self.reached.clear()
        self._opened.release()


class GatedConnection(UnixDomainSocketConnection):
    """A real connection, with a gate before each command (a pipeline is one)."""

    def __init__(self, gate: Gate, **options: Any) -> None:
        super().__init__(**options)
        self._gate = gate

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        await self._gate.wait()
        await super().send_packed_command(command, check_health)


class Stepped:
    """Work on users that goes on by one command for each step, and no more."""

    def __init__(self, url: str, work: Work) -> None:
        self._gate = Gate()
        path = url.removeprefix("unix://")
        pool = ConnectionPool(connection_class=GatedConnection, path=path, gate=self._gate)
        self._client = Redis.from_pool(pool)
        self._work = work

    async def __aenter__(self) -> "Stepped":
        await self._client.ping()  # connects
        self._gate.is_held = True
        self.task = asyncio.create_task(self._run())
        await self._pause()
        return self

    async def __aexit__(self, *error: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self._client.aclose()

    async def _run(self) -> object:
        try:
            return await self._work(writer_of(self._client, 60))
        except Kept as kept:
            return kept.reason

    async def _pause(self) -> None:
        reached = asyncio.create_task(self._gate.reached.wait())
        await asyncio.wait({reached, self.task}, return_when=asyncio.FIRST_COMPLETED)
        reached.cancel()

    async def step(self) -> None:
        """Let one command through, up to the next or the end; nothing, once the work is done."""
        if not self.task.done():
            self._gate.open_once()
            await self._pause()


@pytest.fixture
def warm_url(redis_url: str, redis_client: redis.Redis) -> str:
    """A Redis that knows the scripts and has a salt, so that work takes as few steps as it can."""
    do(redis_url, lambda writer: load(writer))
    do(redis_url, put)
    do(redis_url, erase)
    for key in redis_client.keys("fs:*"):
        redis_client.delete(key)
    return redis_url


def merges(first: int, second: int) -> Iterator[list[int]]:
    """Give every order of so many steps of two."""
    for places in combinations(range(first + second), second):
        yield [int(place in places) for place in range(first + second)]


async def interleave(url: str, works: tuple[Work, Work], order: list[int]) -> None:
    async with AsyncExitStack() as stack:
        both = [await stack.enter_async_context(Stepped(url, work)) for work in works]
        for which in order:
            await both[which].step()
        for one in both:
            while not one.task.done():
                await one.step()
            one.task.result()


@pytest.mark.parametrize("is_stored", [False, True])
def test_an_erased_user_is_not_stored_however_a_load_and_the_erasure_interleave(
    warm_url: str, redis_client: redis.Redis, is_stored: bool
) -> None:
    async def main() -> None:
        for order in merges(7, 3):
            redis_client.delete("fs:user:u", *redis_client.keys("fs:erased:*"))
            if is_stored:
                redis_client.set("fs:user:u", '{"id":"u","content":{"age":0.0}}')
            await interleave(warm_url, (load, erase), order)
            assert redis_client.get("fs:user:u") is None, order

    asyncio.run(main())


def test_a_load_of_an_erased_user_is_refused_before_anything_is_stored(
    warm_url: str, redis_client: redis.Redis
) -> None:
    async def main() -> None:
        await run(warm_url, erase)
        async with Stepped(warm_url, load) as refused:
            while not refused.task.done():
                await refused.step()
                assert redis_client.get("fs:user:u") is None
            assert refused.task.result() == "erased"

    asyncio.run(main())


def test_a_user_who_came_back_stays_however_a_load_interleaves(
    warm_url: str, redis_client: redis.Redis
) -> None:
    async def main() -> None:
        for order in merges(7, 4):
            redis_client.delete("fs:user:u", *redis_client.keys("fs:erased:*"))
            await interleave(warm_url, (load, return_after_erasure), order)
            assert b'{"age":1.0}' in (redis_client.get("fs:user:u") or b""), order
            assert redis_client.ttl("fs:user:u") == -1

    asyncio.run(main())


@pytest.mark.parametrize("steps_before", range(7))
@pytest.mark.parametrize("steps_after", range(7))
def test_a_load_that_dies_leaves_nobody_stored_for_good_who_was_erased(
    warm_url: str, redis_client: redis.Redis, steps_before: int, steps_after: int
) -> None:
    async def main() -> None:
        async with Stepped(warm_url, load) as dying:
            for _ in range(steps_before):
                await dying.step()
            await run(warm_url, erase)
            for _ in range(steps_after):
                await dying.step()

    asyncio.run(main())
    assert redis_client.ttl("fs:user:u") != -1


def test_a_load_that_died_can_be_repeated_at_once(warm_url: str, redis_client: redis.Redis) -> None:
    since_s = redis_client.time()[0] - 10.0

    def early(writer: UserWriter) -> Awaitable[object]:
        return load(writer, since_s)

    async def main() -> None:
        async with Stepped(warm_url, early) as dying:
            while redis_client.get("fs:user:u") is None:
                await dying.step()

    asyncio.run(main())
    assert 0 < redis_client.ttl("fs:user:u") <= 30
    assert do(warm_url, early) is True
    assert redis_client.ttl("fs:user:u") == -1
    assert do(warm_url, early) == "newer"


def patch(writer: UserWriter, **features: float) -> Awaitable[object]:
    """Merge an age, so that what others wrote beside it can be seen."""
    groups = Groups(features or {"age": 5.0}, None)
    return writer.patch("u", lambda stored: merge_user("u", stored, groups, forgets=False))


def test_a_patch_and_another_write_lose_nothing_however_they_interleave(
    warm_url: str, redis_client: redis.Redis
) -> None:
    def other(writer: UserWriter) -> Awaitable[object]:
        return patch(writer, height=2.0)

    do(warm_url, patch)

    async def main() -> None:
        for order in merges(4, 4):
            redis_client.set("fs:user:u", '{"id":"u","content":{"weight":7.0}}')
            await interleave(warm_url, (patch, other), order)
            stored = orjson.loads(redis_client.get("fs:user:u") or b"")
            assert stored["content"] == {"weight": 7.0, "age": 5.0, "height": 2.0}, order
            assert stored["written_at"] > 1e9

    asyncio.run(main())


def test_a_patch_brings_nothing_back_that_was_erased_however_they_interleave(
    warm_url: str, redis_client: redis.Redis
) -> None:
    do(warm_url, patch)

    async def main() -> None:
        for order in merges(4, 3):
            redis_client.set("fs:user:u", '{"id":"u","content":{"weight":7.0}}')
            await interleave(warm_url, (patch, erase), order)
            stored = redis_client.get("fs:user:u")
            assert stored is None or orjson.loads(stored)["content"] == {"age": 5.0}, order

    asyncio.run(main())


@pytest.mark.parametrize("steps_before", range(8))
def test_a_patch_makes_nothing_of_what_a_load_may_yet_undo(
    warm_url: str, redis_client: redis.Redis, steps_before: int
) -> None:
    do(warm_url, patch)
    redis_client.delete("fs:user:u")

    async def main() -> None:
        async with Stepped(warm_url, load) as loading, Stepped(warm_url, erase) as erasing:
            for _ in range(steps_before):
                await loading.step()
            patching = asyncio.create_task(run(warm_url, patch))
            await asyncio.sleep(0.02)
            for both in (erasing, loading):
                while not both.task.done():
                    await both.step()
            await patching
        content = orjson.loads(redis_client.get("fs:user:u") or b'{"content":{"age":5.0}}')
        assert content["content"] == {"age": 5.0}

    asyncio.run(main())


def test_a_patch_of_what_is_never_settled_is_given_up(
    redis_url: str, redis_client: redis.Redis
) -> None:
    written = f'{{"written_at":{redis_client.time()[0]}.0,"id":"u","content":{{"age":1.0}}}}'
    redis_client.set("fs:user:u", written, ex=30)
    before = redis_client.get("fs:user:u")
    with pytest.raises(Contended):
        do(redis_url, patch)
    assert redis_client.get("fs:user:u") == before


def test_a_condition_is_held_against_the_moment_of_writing(
    redis_url: str, redis_client: redis.Redis
) -> None:
    def stored_at(moment: str) -> None:
        redis_client.set("fs:user:u", f'{{"written_at":{moment},"id":"u"}}')

    assert do(redis_url, lambda writer: load(writer, 0)) is True
    assert do(redis_url, lambda writer: load(writer, 0)) == "newer"
    for moment, answer in [("100.000000", False), ("100.000001", "newer"), ("99.999999", False)]:
        stored_at(moment)
        before = redis_client.get("fs:user:u")
        assert do(redis_url, lambda writer: load(writer, 100)) == answer
        assert (redis_client.get("fs:user:u") == before) == (answer == "newer")
    redis_client.set("fs:user:u", '{"id":"u","content":{"age":1.0}}')
    assert do(redis_url, lambda writer: load(writer, -1e9)) is False


def test_only_an_unconditional_write_passes_a_mark_and_the_mark_stays(
    redis_url: str, redis_client: redis.Redis
) -> None:
    assert do(redis_url, erase) is False  # of whom nothing was stored
    assert do(redis_url, load) == "erased"
    assert redis_client.get("fs:user:u") is None
    assert do(redis_url, put) is True
    assert do(redis_url, load) == "erased"
    assert b'{"age":1.0}' in (redis_client.get("fs:user:u") or b"")
    [mark] = redis_client.keys("fs:erased:*")
    redis_client.delete(mark)
    assert do(redis_url, load) is False


DAY_S = 86_400


@pytest.mark.parametrize("days", [0, 1, 36_500])
@pytest.mark.parametrize("write", [put, load, patch])
def test_each_write_has_a_user_kept_for_so_long(
    redis_url: str,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    write: Work,
    days: int,
) -> None:
    monkeypatch.setattr(f"{__name__}.USERS_KEPT_S", days * DAY_S)
    redis_client.set("fs:user:u", '{"written_at":1.0,"id":"u"}', ex=1000)
    for _ in range(2):
        assert do(redis_url, write) != "erased"
        left = redis_client.ttl("fs:user:u")
        assert left == -1 if days == 0 else days * DAY_S - 60 < left <= days * DAY_S


@pytest.mark.parametrize("other", [return_after_erasure, patch, put])
def test_a_user_is_kept_for_so_long_however_writes_interleave(
    warm_url: str, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, other: Work
) -> None:
    monkeypatch.setattr(f"{__name__}.USERS_KEPT_S", DAY_S)
    do(warm_url, put)
    do(warm_url, patch)

    async def main() -> None:
        for order in merges(5, 4):
            redis_client.delete("fs:user:u", *redis_client.keys("fs:erased:*"))
            await interleave(warm_url, (load, other), order)
            written_at = orjson.loads(redis_client.get("fs:user:u") or b"")["written_at"]
            seconds, microseconds = redis_client.time()
            kept_s = seconds + microseconds / 1e6 + redis_client.pttl("fs:user:u") / 1e3
            assert kept_s - written_at == pytest.approx(DAY_S, abs=1), order

    asyncio.run(main())


def test_what_an_undone_load_replaced_is_kept_no_longer_for_it(
    warm_url: str, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.USERS_KEPT_S", DAY_S)
    half_s = redis_client.time()[0] - DAY_S // 2
    replaced = f'{{"written_at":{half_s}.0,"id":"u","content":{{"age":3.0}}}}'
    redis_client.set("fs:user:u", replaced, ex=DAY_S // 2)

    async def main() -> None:
        async with Stepped(warm_url, load) as loading, Stepped(warm_url, erase) as erasing:
            while redis_client.get("fs:user:u") == replaced.encode():
                await loading.step()
            while not redis_client.keys("fs:erased:*"):
                await erasing.step()
            while not loading.task.done():
                await loading.step()
            assert redis_client.get("fs:user:u") == replaced.encode()
            assert redis_client.ttl("fs:user:u") == pytest.approx(DAY_S // 2, abs=60)

    asyncio.run(main())


def test_a_mark_is_a_salted_hash_with_the_moment_for_as_long_as_is_set(
    redis_url: str, redis_client: redis.Redis
) -> None:
    do(redis_url, erase, kept_s=1000)
    salt = kept(redis_client, "{fs}:salt")
    assert len(salt) == 64
    mark = "fs:erased:" + hmac.new(salt, b"u", hashlib.sha256).hexdigest()
    assert abs(float(redis_client.get(mark) or 0) - redis_client.time()[0]) < 60
    assert 900 < redis_client.ttl(mark) <= 1000
    do(redis_url, erase, kept_s=2000)
    assert redis_client.get("{fs}:salt") == salt
    assert redis_client.ttl(mark) > 1000
    assert redis_client.dbsize() == 2


def test_without_days_to_keep_no_mark_is_left(redis_url: str, redis_client: redis.Redis) -> None:
    do(redis_url, put)
    assert do(redis_url, erase, kept_s=0) is True
    assert redis_client.dbsize() == 0
    assert do(redis_url, load) is True


def test_each_redis_has_a_salt_of_its_own(redis_url: str, redis_client: redis.Redis) -> None:
    async def main() -> None:
        client: Redis = connect(read_url(redis_url), 10.0, connections=1)
        writer = writer_of(client, 60)
        await writer.delete("u")
        salt = redis_client.get("{fs}:salt")
        redis_client.flushall()
        await writer.delete("u")
        assert redis_client.get("{fs}:salt") != salt
        with pytest.raises(Kept):
            await load(writer)
        await client.aclose()

    asyncio.run(main())
