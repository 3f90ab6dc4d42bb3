import asyncio
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, TypeVar

import numpy as np
import pytest
import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis.typing import EncodableT, FieldT

from export.contract.features import Raw
from service.records import ItemRecord, Unreadable, UserRecord
from service.store import (
    LOG_START,
    Entry,
    Link,
    Newer,
    Poison,
    Store,
    StoreUnavailable,
    Written,
)
from service.store.keys import Keys
from tests.service.kept import kept
from tests.service.made import unit_vectors
from tests.tiny import DIM, tiny_schema

SCHEMA = tiny_schema()
VECTORS = unit_vectors(8, seed=1)
T = TypeVar("T")


def with_store(
    url: str,
    use: Callable[[Store], Awaitable[T]],
    timeout_s: float = 2.0,
    **options: Any,
) -> T:
    async def run() -> T:
        store = Store(Link(url, timeout_s=timeout_s, **options), SCHEMA)
        try:
            return await use(store)
        finally:
            await store.link.close()

    return asyncio.run(run())


def put(one: str, **content: Raw) -> ItemRecord:
    return ItemRecord(one, 0, "put", content or {"topics": ["art"]})


def test_the_layout_is_the_published_one(redis_url: str, redis_client: redis.Redis) -> None:
    async def use(store: Store) -> Written:
        await store.put_user(UserRecord("u", {"age": 3.0}, {"recent": ["i1"]}, "then"))
        item = ItemRecord("x:1", 0, "put", {"topics": ["art"]}, {"clicks": 2.0})
        return await store.write_item(item, VECTORS[0], "v-1", 41)

    written = with_store(redis_url, use)
    assert (written.rev, written.before) == (42, "nothing")
    log_id = str(written.log_id)
    assert redis_client.get("{fs}:item:x:1") == (
        b'{"op":"put","rev":42,"preference_as_of":"' + log_id.encode() + b'","id":"x:1",'
        b'"content":{"topics":["art"]},"preference":{"clicks":2.0}}'
    )
    assert redis_client.zscore("{fs}:items", "x:1") == 42
    assert redis_client.get("{fs}:rev") == b"42"
    entry = {b"format": b"1", b"id": b"x:1", b"rev": b"42", b"op": b"put"}
    assert redis_client.xrange("{fs}:log") == [(log_id.encode(), entry)]
    assert len(redis_client.get("{fs}:epoch") or b"") == 32
    assert redis_client.get("{fs}:vec:v-1:x:1") == b"x:1\n42\n" + VECTORS[0].tobytes()
    assert 0 < redis_client.ttl("{fs}:vec:v-1:x:1") <= 7 * 86_400
    user = kept(redis_client, "fs:user:u")
    written_at, comma, rest = user.removeprefix(b'{"written_at":').partition(b",")
    assert abs(float(written_at) - redis_client.time()[0]) < 60
    assert comma + rest == (
        b',"id":"u","preference_as_of":"then","content":{"age":3.0},"preference":{"recent":["i1"]}}'
    )
    assert redis_client.smembers("{fs}:versions") == {b"v-1"}
    assert len(set(redis_client.scan_iter())) == 8


def test_a_write_is_refused_if_the_item_is_newer_than_what_it_is_based_on(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def use(store: Store) -> None:
        pairs = [(put(one), VECTORS[0]) for one in ("a", "b", "c", "a")]
        outcomes = await store.write_items(pairs, "v", 6, [0, None, 9, 7])
        assert [type(one) for one in outcomes] == [Written] * 4
        before = redis_client.get("{fs}:item:a"), redis_client.xlen("{fs}:log")
        refused = await store.write_items([(put("a"), VECTORS[1])], "v", 0, [9])
        assert refused == [Newer(10)]
        assert (redis_client.get("{fs}:item:a"), redis_client.xlen("{fs}:log")) == before
        assert redis_client.get("{fs}:rev") == b"10"
        [written] = await store.write_items([(put("a"), VECTORS[1])], "v", 0, [10])
        assert isinstance(written, Written)
        assert written.rev == 11

    with_store(redis_url, use)


@pytest.mark.parametrize(
    ("preference", "as_of", "stored"),
    [
        (None, "5-0", "null"),
        ({"clicks": 1.0}, "5-0", '"5-0"'),
        ({"clicks": 1.0}, None, "{log_id}"),
        ({}, 'monday","op":"x', "{log_id}"),
    ],
)
def test_a_preference_keeps_the_log_id_that_it_is_of_or_is_given_this_one(
    redis_url: str,
    redis_client: redis.Redis,
    preference: dict[str, float] | None,
    as_of: str | None,
    stored: str,
) -> None:
    item = ItemRecord("a", 0, "put", {}, preference, as_of)
    written = with_store(redis_url, lambda store: store.write_item(item, VECTORS[0], "v", 0))
    expected = stored.replace("{log_id}", f'"{written.log_id}"')
    start = f'{{"op":"put","rev":1,"preference_as_of":{expected},"id":"a"'
    assert kept(redis_client, "{fs}:item:a").decode().startswith(start)


def test_revs_rise_and_the_log_keeps_the_order(redis_url: str) -> None:
    async def use(store: Store) -> None:
        items = [(put(f"x{n % 3}"), VECTORS[n]) for n in range(6)]
        first = await store.write_items(items, "v", 0)
        again = await store.write_items([(ItemRecord("x1", 0, "delete"), None)], "v", 3)
        after = await store.write_items([(put("x1"), VECTORS[0])], "v", 100)
        written = [one for one in [*first, *again, *after] if isinstance(one, Written)]
        assert [one.rev for one in written] == [1, 2, 3, 4, 5, 6, 7, 101]
        assert [one.before for one in written] == ["nothing"] * 3 + ["put"] * 4 + ["delete"]
        log = await store.log.read(LOG_START, 100, 0.01)
        assert [entry.at for entry in log] == sorted(one.log_id for one in written)
        assert [entry.rev for entry in log if isinstance(entry, Entry)] == [
            one.rev for one in written
        ]
        assert [entry.id for entry in log if isinstance(entry, Entry)][-2:] == ["x1", "x1"]
        [stored] = await store.read_items(["x1"], "v")
        assert isinstance(stored.record, ItemRecord)
        assert stored.record.rev == 101

    with_store(redis_url, use)


def test_a_deleted_item_stays_as_a_tombstone(redis_url: str) -> None:
    async def use(store: Store) -> None:
        await store.write_item(put("x"), VECTORS[0], "v", 0)
        await store.write_item(ItemRecord("x", 0, "delete"), None, "v", 0)
        [stored] = await store.read_items(["x"], "v")
        assert stored.record == ItemRecord("x", 2, "delete")
        assert stored.vector is None
        assert [page async for page in store.revs.pages(10)] == [[(b"x", 2)]]

    with_store(redis_url, use)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    revs=st.lists(st.integers(1, 12), min_size=1, max_size=20),
    most=st.integers(1, 5),
    moved=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 19)), max_size=12),
)
@example(revs=[1, 2, 3, 4], most=2, moved=[(1, 1)])  # the last that was given moves to the end
@example(revs=[1, 1, 1, 2, 2], most=2, moved=[])
def test_pages_miss_nobody_whoever_is_written_meanwhile(
    redis_url: str,
    redis_client: redis.Redis,
    revs: list[int],
    most: int,
    moved: list[tuple[int, int]],
) -> None:
    """After so many pages such an item is written: it has the highest rev from then on."""
    redis_client.flushdb()
    items, highest = Keys("fs").items, count(100)
    redis_client.zadd(items, {f"x{n}": rev for n, rev in enumerate(revs)})

    async def use(store: Store) -> None:
        pages = []
        async for page in store.revs.pages(most):
            assert 0 < len(page) <= most
            pages.append(page)
            for after, n in moved:
                if after == len(pages):
                    redis_client.zadd(items, {f"x{n % len(revs)}": next(highest)})
        found = Counter(one for page in pages for one, _ in page)
        touched = {b"x%d" % (n % len(revs)) for _, n in moved}
        everybody = {b"x%d" % n for n in range(len(revs))}
        assert set(found) == everybody
        assert all(found[one] == 1 for one in everybody - touched)

    with_store(redis_url, use)


def test_a_vector_is_only_read_for_its_own_id_rev_and_version(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def use(store: Store) -> None:
        await store.write_item(put("x"), VECTORS[0], "v", 0)
        [stored] = await store.read_items(["x"], "v")
        np.testing.assert_array_equal(stored.vector, VECTORS[0])
        assert (await store.read_items(["x"], "w"))[0].vector is None
        good = kept(redis_client, "{fs}:vec:v:x")
        for bad in [
            good[:-1],
            good + b"\0" * 4,
            good.replace(b"x\n1", b"y\n1"),
            good.replace(b"x\n1", b"x\n2"),
            b"x\n1\n" + np.full(DIM, np.nan, "<f4").tobytes(),
            b"x\n1\n" + (2 * VECTORS[0]).tobytes(),
            b"",
        ]:
            redis_client.set("{fs}:vec:v:x", bad)
            [stored] = await store.read_items(["x"], "v")
            assert stored.vector is None
            assert isinstance(stored.record, ItemRecord)

    with_store(redis_url, use)


def test_a_computed_vector_is_kept_only_while_the_rev_stands(redis_url: str) -> None:
    async def use(store: Store) -> None:
        await store.write_item(put("x"), VECTORS[0], "v", 0)
        await store.write_item(put("y"), VECTORS[0], "v", 0)
        await store.keep_vectors(
            "w", [("x", 1, VECTORS[1]), ("y", 1, VECTORS[1]), ("z", 1, VECTORS[1])]
        )
        stored = await store.read_items(["x", "y"], "w")
        assert [one.vector is not None for one in stored] == [True, False]

    with_store(redis_url, use)


def test_a_record_that_cannot_be_read_says_why(redis_url: str, redis_client: redis.Redis) -> None:
    redis_client.set("{fs}:item:x", b"\xff")

    async def use(store: Store) -> None:
        bad, absent = await store.read_items(["x", "y"], "v")
        assert isinstance(bad.record, Unreadable)
        assert absent.record is None

    with_store(redis_url, use)


def test_users_come_in_the_order_asked_and_unreadable_ones_count_as_none(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def use(store: Store) -> None:
        assert await store.put_user(UserRecord("a", {"age": 1.0}))
        assert not await store.put_user(UserRecord("a", {"age": 2.0}))
        await store.put_user(UserRecord("b", {"age": 3.0}))
        redis_client.copy("fs:user:b", "fs:user:c")
        redis_client.set("fs:user:d", "?")
        found = await store.get_users(["c", "b", "nobody", "a", "d", "b"])
        known = [isinstance(one, UserRecord) and (one.id, one.record) or one for one in found]
        b = ("b", {"age": 3.0})
        assert known == [None, b, None, ("a", {"age": 2.0}), None, b]
        assert await store.get_users([]) == []
        assert await store.delete_user("a")
        assert not await store.delete_user("a")
        assert await store.get_users(["a"]) == [None]

    with_store(redis_url, use)


@given(
    st.lists(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=30), unique=True, max_size=8
    )
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_ids_round_trip_and_never_meet_other_keys(redis_url: str, ids: list[str]) -> None:
    ids = [*ids, "items", "{fs}:rev", "*", "a\nb", "x:1", "1:x", "01", "1"]
    ids = list(dict.fromkeys(ids))

    async def use(store: Store) -> None:
        for n, one in enumerate(ids):
            await store.put_user(UserRecord(one, {"age": float(n)}))
            await store.write_item(put(one, length=float(n)), VECTORS[n % 8], "v", 0)
        users = await store.get_users(ids)
        assert [isinstance(one, UserRecord) and one.record for one in users] == [
            {"age": float(n)} for n in range(len(ids))
        ]
        items = await store.read_items(ids, "v")
        assert [getattr(one.record, "record", None) for one in items] == [
            {"length": float(n)} for n in range(len(ids))
        ]

    with_store(redis_url, use)


def test_poison_in_the_log_is_told_apart_from_entries(
    redis_url: str, redis_client: redis.Redis
) -> None:
    good: dict[FieldT, EncodableT] = {"format": "1", "id": "x", "rev": "1", "op": "put"}
    bad: list[dict[FieldT, EncodableT]] = [
        {"format": "2"},
        {"op": "move"},
        {"rev": "-1"},
        {"rev": "0"},
        {"rev": str(2**63)},
        {"rev": "9" * 40},
        {"rev": "one"},
        {"id": b"\xff"},
        {"id": ""},
        {"id": "y" * 257},
    ]
    for change in bad:
        redis_client.xadd("{fs}:log", {**good, **change})
    for missing in good:
        redis_client.xadd("{fs}:log", {k: v for k, v in good.items() if k != missing})
    redis_client.xadd("{fs}:log", {**good, "new": "member"})
    entries = with_store(redis_url, lambda store: store.log.read(LOG_START, 100, 0.01))
    assert [type(entry) for entry in entries] == [Poison] * (len(bad) + 4) + [Entry]


OwnRedis = tuple["subprocess.Popen[bytes]", str]


def test_a_hung_redis_fails_a_read_within_its_timeout(own_redis: OwnRedis) -> None:
    process, url = own_redis

    async def use(store: Store) -> float:
        await store.link.ping()
        process.send_signal(signal.SIGSTOP)
        begun_s = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await store.get_users(["u"])
        return time.monotonic() - begun_s

    # The point is no retries: redis-py's defaults would take a minute.
    assert with_store(url, use, timeout_s=0.05) < 5


def test_a_cancelled_read_never_answers_the_next_one(own_redis: OwnRedis) -> None:
    process, url = own_redis

    async def use(store: Store) -> None:
        for one in "ab":
            await store.put_user(UserRecord(one, {"country": one}))
        for _ in range(20):
            process.send_signal(signal.SIGSTOP)
            reads = [asyncio.create_task(store.get_users(["a"])) for _ in range(4)]
            await asyncio.sleep(0.005)
            for read in reads:
                read.cancel()
            process.send_signal(signal.SIGCONT)
            found = await asyncio.gather(*(store.get_users(["b"]) for _ in range(8)))
            assert [isinstance(one, UserRecord) and one.id for [one] in found] == ["b"] * 8

    with_store(url, use)


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "unix:///nowhere/redis.sock"])
def test_without_a_redis_everything_is_unavailable_and_nothing_else(url: str) -> None:
    async def use(store: Store) -> None:
        calls: list[Callable[[], Awaitable[object]]] = [
            store.link.ping,
            lambda: store.get_users(["u"]),
            lambda: store.put_user(UserRecord("u")),
            lambda: store.delete_user("u"),
            lambda: store.write_item(put("x"), VECTORS[0], "v", 0),
            lambda: store.read_items(["x"], "v"),
            lambda: store.keep_vectors("v", [("x", 1, VECTORS[0])]),
            lambda: anext(store.revs.pages(1)),
            store.revs.highest,
            lambda: store.revs.of(["x"]),
            lambda: store.revs.announce([(put("x"), VECTORS[0])], "v"),
            store.log.state,
            lambda: store.log.behind(LOG_START),
            lambda: store.log.read(LOG_START, 1, 0.01),
        ]
        for call in calls:
            with pytest.raises(StoreUnavailable):
                await call()
        [answer] = await store.write_items([(put("x"), VECTORS[0])], "v", 0)
        assert isinstance(answer, StoreUnavailable)

    with_store(url, use)


def test_a_key_of_the_wrong_type_is_no_crash(redis_url: str, redis_client: redis.Redis) -> None:
    redis_client.lpush("{fs}:items", "?")
    with pytest.raises(StoreUnavailable):
        with_store(redis_url, lambda store: store.write_item(put("x"), VECTORS[0], "v", 0))


@pytest.mark.parametrize("prefix", ["", "a:b", "{a}", "a b", "a" * 33, "fs\n"])
def test_a_prefix_cannot_break_out_of_its_place(prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        Keys(prefix)
