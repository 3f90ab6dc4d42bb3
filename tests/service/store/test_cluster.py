"""A real cluster: what holds of one server holds there, with users on all nodes.

The claims of other modules are made again here, of a cluster.
"""

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from service.records import Groups, ItemRecord, UserRecord
from service.rollout.pointer import PointerRefused, first_pointer
from service.rollout.pointer_store import change_pointer, read_pointer
from service.settings import Settings
from service.store import Kept, Link, Store, StoreUnavailable, Written
from service.store.durability import Durability
from service.store.guide import ClusterGuide
from tests.service.duties.test_reconcile import (
    test_what_a_replica_lacks_is_read,
    test_what_redis_lost_is_announced_again_as_it_was,
)
from tests.service.rollout.test_pointer_store import (
    settings,
    test_a_change_is_read_whole,
    test_the_first_version_becomes_current_and_no_later_one_does,
)
from tests.service.snapshot.test_duty import (
    test_a_start_reads_the_snapshot_and_only_what_came_after_it,
    world,
)
from tests.service.store.servers import Cluster, eventually
from tests.service.store.test_redis import (
    SCHEMA,
    VECTORS,
    put,
    test_a_computed_vector_is_kept_only_while_the_rev_stands,
    test_a_deleted_item_stays_as_a_tombstone,
    test_a_vector_is_only_read_for_its_own_id_rev_and_version,
    test_a_write_is_refused_if_the_item_is_newer_than_what_it_is_based_on,
    test_any_ids_round_trip_and_never_meet_other_keys,
    test_poison_in_the_log_is_told_apart_from_entries,
    test_revs_rise_and_the_log_keeps_the_order,
    test_the_layout_is_the_published_one,
    with_store,
)
from tests.service.test_follower import (
    make,
    test_a_gap_in_the_log_is_noticed_and_all_is_read_again,
    test_two_replicas_converge_whoever_writes,
)

__all__ = [
    "make",
    "settings",
    "test_a_change_is_read_whole",
    "test_a_computed_vector_is_kept_only_while_the_rev_stands",
    "test_a_deleted_item_stays_as_a_tombstone",
    "test_a_gap_in_the_log_is_noticed_and_all_is_read_again",
    "test_a_start_reads_the_snapshot_and_only_what_came_after_it",
    "test_a_vector_is_only_read_for_its_own_id_rev_and_version",
    "test_a_write_is_refused_if_the_item_is_newer_than_what_it_is_based_on",
    "test_any_ids_round_trip_and_never_meet_other_keys",
    "test_poison_in_the_log_is_told_apart_from_entries",
    "test_revs_rise_and_the_log_keeps_the_order",
    "test_the_first_version_becomes_current_and_no_later_one_does",
    "test_the_layout_is_the_published_one",
    "test_two_replicas_converge_whoever_writes",
    "test_what_a_replica_lacks_is_read",
    "test_what_redis_lost_is_announced_again_as_it_was",
    "world",
]

USERS = [f"u{n}" for n in range(30)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.kill()


@pytest.fixture
def redis_url(cluster: Cluster) -> str:
    """The URL of an empty cluster."""
    cluster.empty()
    return cluster.url


@pytest.fixture
def redis_client(redis_url: str, cluster: Cluster) -> "Iterator[redis.RedisCluster]":
    with redis.RedisCluster("127.0.0.1", cluster.nodes[0].port) as client:
        yield client


async def put_users(store: Store) -> None:
    for n, one in enumerate(USERS):
        assert await store.put_user(UserRecord(one, {"age": float(n)}))


async def ages(store: Store) -> list[object]:
    found = await store.get_users(USERS)
    return [isinstance(one, UserRecord) and one.record["age"] for one in found]


def test_users_are_spread_and_come_in_the_order_asked(redis_url: str, cluster: Cluster) -> None:
    async def use(store: Store) -> None:
        await put_users(store)
        assert await ages(store) == [float(n) for n in range(len(USERS))]

    with_store(redis_url, use)
    stored = [node.do("DBSIZE") for node in cluster.nodes]
    assert sum(stored) == len(USERS)
    assert min(stored) > 0


def test_erased_users_stay_erased_wherever_key_and_mark_are(redis_url: str) -> None:
    async def use(store: Store) -> None:
        await put_users(store)
        for one in USERS:
            assert await store.delete_user(one)
            assert not await store.delete_user(one)
        assert await store.get_users(USERS) == [None] * len(USERS)
        for one in USERS:
            with pytest.raises(Kept):
                await store.put_user(UserRecord(one, {"age": 0.0}), unmodified_since_s=4e9)
        assert await store.put_user(UserRecord("new", {"age": 0.0}), unmodified_since_s=4e9)
        assert await store.put_user(UserRecord("u0", {"age": 0.0}))

    with_store(redis_url, use)


def test_any_node_that_answers_leads_to_all(redis_url: str, cluster: Cluster) -> None:
    last = cluster.nodes[2].name
    written = with_store(
        f"redis+cluster://127.0.0.1:1,{last}",
        lambda store: store.write_item(put("x"), VECTORS[0], "v", 0),
    )
    assert written.rev == 1
    assert with_store(redis_url, lambda store: store.revs.highest()) == 1


@pytest.mark.parametrize("prefix", ["fs", "ours", "a1", "b2"])
def test_a_catalogue_is_where_its_prefix_says(
    redis_url: str, cluster: Cluster, prefix: str
) -> None:
    async def main() -> Written:
        store = Store(Link(redis_url, prefix=prefix, timeout_s=2.0), SCHEMA, prefix=prefix)
        written = await store.write_item(put("x"), VECTORS[0], "v", 0)
        await store.link.close()
        return written

    assert asyncio.run(main()).rev == 1
    own = Settings(redis=redis_url, prefix=prefix)
    assert change_pointer(own, None, first_pointer("one")) == read_pointer(own)
    keys = cluster.holder(f"{{{prefix}}}:items").do("KEYS", "*")
    assert set(keys) >= {f"{{{prefix}}}:items".encode(), f"{{{prefix}}}:current".encode()}
    assert sum(node.do("DBSIZE") for node in cluster.nodes) == len(keys)


def test_scripts_are_loaded_on_the_node_that_lacks_them_in_order(
    redis_url: str, cluster: Cluster
) -> None:
    async def use(store: Store) -> None:
        for lap in range(3):
            outcomes = await store.write_items(
                [(put(f"x{n}"), VECTORS[n]) for n in range(8)], "v", 0
            )
            revs = [one.rev for one in outcomes if isinstance(one, Written)]
            assert revs == list(range(8 * lap + 1, 8 * lap + 9))
            for node in cluster.nodes:
                node.do("SCRIPT", "FLUSH")
        await put_users(store)

    with_store(redis_url, use)


def test_durability_is_that_of_the_catalogues_node(redis_url: str, cluster: Cluster) -> None:
    holder = cluster.holder("{fs}:items")

    def told() -> Durability | None:
        async def use(store: Store) -> Durability | None:
            await store.link.look()
            return store.link.durability

        return with_store(redis_url, use)

    try:
        holder.do("CONFIG", "SET", "appendonly", "yes")
        assert told() == Durability("everysec")
        holder.do("CONFIG", "SET", "appendfsync", "always")
        assert told() == Durability("fsync")
        holder.do("CONFIG", "SET", "appendonly", "no")
        assert told() == Durability(
            "none", "redis writes no append-only file: set `appendonly yes`"
        )
    finally:
        holder.do("CONFIG", "SET", "appendonly", "no")
        holder.do("CONFIG", "SET", "appendfsync", "everysec")


def test_of_two_who_change_the_pointer_one_is_first(redis_url: str) -> None:
    own = Settings(redis=redis_url)
    before = change_pointer(own, None, first_pointer("one"))
    outcomes: list[str] = []

    def change(version: str) -> None:
        try:
            change_pointer(own, before, before.activated(version))
        except PointerRefused:
            outcomes.append("refused")
        else:
            outcomes.append(version)

    threads = [threading.Thread(target=change, args=(one,)) for one in ("two", "three")]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(outcomes)[0] == "refused"
    now = read_pointer(own)
    assert now is not None
    assert [now.current] == [one for one in outcomes if one != "refused"]


def test_moved_users_are_found_at_once(redis_url: str, cluster: Cluster) -> None:
    async def use(store: Store) -> None:
        await put_users(store)
        whole = await ages(store)
        moved = "fs:user:u7"
        source = cluster.holder(moved)
        to = next(node for node in cluster.nodes if node is not source)
        for give, take in ((source, to), (to, source)):
            cluster.begin_move(moved, take)
            cluster.end_move(moved, give, take)
            assert await ages(store) == whole
            assert not await store.put_user(UserRecord("u7", {"age": 7.0}))

    with_store(redis_url, use)


def test_a_catalogue_that_is_moved_loses_nothing_and_is_written_again(
    redis_url: str, cluster: Cluster
) -> None:
    acknowledged: list[int] = []
    is_refused, is_over = threading.Event(), threading.Event()
    to = next(node for node in cluster.nodes if node is not cluster.holder("{fs}:items"))

    def move() -> None:
        source = cluster.begin_move("{fs}:items", to)
        assert is_refused.wait(30)
        cluster.end_move("{fs}:items", source, to, at_once=7)
        is_over.set()

    async def use(store: Store) -> None:
        mover = threading.Thread(target=move)
        number = 0
        while not is_over.is_set() or len(acknowledged) < 60:
            if number == 20:
                mover.start()
            try:
                await store.write_item(put(f"x{number}"), VECTORS[0], "v", 0)
            except StoreUnavailable:
                is_refused.set()
                await asyncio.sleep(0.01)
            else:
                acknowledged.append(number)
            number += 1
            assert number < 3000, "it is never written again"
        mover.join()
        stored = await store.read_items([f"x{n}" for n in acknowledged], "v")
        assert all(isinstance(one.record, ItemRecord) for one in stored)
        assert await store.revs.highest() >= len(acknowledged)
        entries = await store.log.read((await store.log.state()).end.cursor, 1, 0.01)
        assert entries == []

    try:
        with_store(redis_url, use)
        assert cluster.holder("{fs}:items") is to
    finally:
        home = cluster.nodes[0]
        if to is not home:
            cluster.begin_move("{fs}:items", home)
            cluster.end_move("{fs}:items", to, home)


def test_a_user_whose_slot_is_being_moved_is_read_and_written_on_either_side(
    redis_url: str, cluster: Cluster
) -> None:
    key = "fs:user:u7"
    source = cluster.holder(key)
    to = next(node for node in cluster.nodes if node is not source)

    async def use(store: Store) -> None:
        await put_users(store)
        cluster.begin_move(key, to)
        assert await ages(store) == [float(n) for n in range(len(USERS))]  # not gone yet
        source.do("MIGRATE", "127.0.0.1", to.port, key, 0, 5000)
        assert await ages(store) == [float(n) for n in range(len(USERS))]
        to.do("SCRIPT", "FLUSH")
        assert not await store.put_user(UserRecord("u7", {"age": 70.0}))
        assert not await store.put_user(UserRecord("u7", {"age": 71.0}), unmodified_since_s=4e9)
        user, is_new = await store.patch_user("u7", Groups({"age": 72.0}, {}), forgets=False)
        assert (user.record["age"], is_new) == (72.0, False)
        assert (await ages(store))[7] == 72.0
        with pytest.raises(redis.exceptions.AskError):
            source.do("GET", key)  # it has none
        assert await store.delete_user("u7")
        assert await store.get_users(["u7"]) == [None]
        assert await store.put_user(UserRecord("u7", {"age": 7.0}))  # new: it is where it goes to
        cluster.end_move(key, source, to)
        assert await ages(store) == [float(n) for n in range(len(USERS))]

    with_store(redis_url, use)
    cluster.begin_move(key, source)
    cluster.end_move(key, to, source)


def test_while_slots_are_moved_no_user_is_unavailable(redis_url: str, cluster: Cluster) -> None:
    is_over = threading.Event()

    def move() -> None:
        try:
            for one in USERS[:10]:
                key = f"fs:user:{one}"
                source = cluster.holder(key)
                to = next(node for node in cluster.nodes if node is not source)
                for give, take in ((source, to), (to, source)):
                    cluster.begin_move(key, take)
                    cluster.end_move(key, give, take)
        finally:
            is_over.set()

    async def use(store: Store) -> None:
        await put_users(store)
        mover = threading.Thread(target=move)
        mover.start()
        laps = 0
        while not is_over.is_set():
            assert await ages(store) == [float(n) for n in range(len(USERS))]
            for n, one in enumerate(USERS[:10]):
                assert not await store.put_user(UserRecord(one, {"age": float(n)}))
            laps += 1
        mover.join()
        assert laps > 3

    with_store(redis_url, use)


def test_a_call_has_one_timeout_that_holds_the_question_for_the_map_too(
    redis_url: str, cluster: Cluster
) -> None:
    timeout_s, map_s = 0.5, 0.4
    *telling, hung = cluster.nodes
    key = next(f"fs:user:{one}" for one in USERS if cluster.holder(f"fs:user:{one}") is hung)

    def slow() -> list[threading.Thread]:
        words = ("DEBUG", "SLEEP", map_s)
        threads = [threading.Thread(target=node.do, args=words) for node in telling]
        for one in threads:
            one.start()
        time.sleep(0.05)
        return threads

    async def use(store: Store) -> None:
        await put_users(store)
        await store.get_users(USERS)
        guide = store.link._guide
        assert isinstance(guide, ClusterGuide)
        assert hung.process is not None
        hung.process.send_signal(signal.SIGSTOP)
        nodes = store.link.user_reads
        for call in (
            lambda: store.get_users([key.removeprefix("fs:user:")]),
            lambda: nodes.ask(key.encode(), lambda line: line.do("GET", key)),
        ):
            guide.slots = None
            threads = slow()
            begun_s = time.monotonic()
            with pytest.raises(StoreUnavailable):
                await call()
            took_s = time.monotonic() - begun_s
            for one in threads:
                one.join()
            assert guide.slots is not None
            assert map_s - 0.1 < took_s < timeout_s + 0.1

    try:
        with_store(redis_url, use, timeout_s=timeout_s)
    finally:
        assert hung.process is not None
        hung.process.send_signal(signal.SIGCONT)
        eventually(cluster.is_well)


def test_a_cluster_without_nodes_is_unavailable(tmp_path: Path) -> None:
    async def use(store: Store) -> None:
        for call in (
            lambda: store.get_users(["a", "b"]),
            lambda: store.put_user(UserRecord("a", {})),
            lambda: store.write_item(put("x"), VECTORS[0], "v", 0),
            lambda: store.revs.highest(),
            store.link.ping,
        ):
            with pytest.raises(StoreUnavailable):
                await call()

    with_store("redis+cluster://127.0.0.1:1,127.0.0.1:2", use)
