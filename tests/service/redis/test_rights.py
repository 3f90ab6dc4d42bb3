"""The rule in the docs is enough for all that the service does, and none of it too much.

The claims of other modules are made again here, of a user who has just these rights.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest
import redis

from service.records import UserRecord
from service.redis.embedded import server_binary, server_version
from service.redis.policy import RedisRefused, refuse_unfit
from service.redis.rights import missing_rights
from service.store import Store, StoreUnavailable, WriteAck
from service.store.durability import WAITAOF_SINCE, Durability
from tests.service.duties.test_reconcile import (
    test_what_a_replica_lacks_is_read,
    test_what_redis_lost_is_announced_again_as_it_was,
)
from tests.service.rollout.test_pointer_store import (
    settings,
    test_a_change_is_read_whole,
)
from tests.service.snapshot.test_duty import (
    test_a_start_reads_the_snapshot_and_only_what_came_after_it,
    world,
)
from tests.service.store.servers import Cluster, Server, eventually, is_replicating, running
from tests.service.store.test_redis import (
    VECTORS,
    put,
    test_a_computed_vector_is_kept_only_while_the_rev_stands,
    test_any_ids_round_trip_and_never_meet_other_keys,
    test_revs_rise_and_the_log_keeps_the_order,
    test_users_come_in_the_order_asked_and_unreadable_ones_count_as_none,
    with_store,
)
from tests.service.store.test_users import (
    test_a_condition_is_held_against_the_moment_of_writing,
    test_a_mark_is_a_salted_hash_with_the_moment_for_as_long_as_is_set,
    test_only_an_unconditional_write_passes_a_mark_and_the_mark_stays,
)
from tests.service.store.test_vector_versions import (
    test_vectors_of_versions_that_are_not_named_go_and_the_others_stay,
    test_what_was_forgotten_is_kept_again_once_it_is_noted,
)
from tests.service.test_follower import (
    make,
    test_two_replicas_converge_whoever_writes,
)
from tests.service.test_users import (
    test_a_user_reads_back_as_put_and_is_gone_when_erased,
)

__all__ = [
    "test_vectors_of_versions_that_are_not_named_go_and_the_others_stay",
    "test_what_was_forgotten_is_kept_again_once_it_is_noted",
    "make",
    "settings",
    "test_a_change_is_read_whole",
    "test_a_computed_vector_is_kept_only_while_the_rev_stands",
    "test_a_condition_is_held_against_the_moment_of_writing",
    "test_a_mark_is_a_salted_hash_with_the_moment_for_as_long_as_is_set",
    "test_a_start_reads_the_snapshot_and_only_what_came_after_it",
    "test_a_user_reads_back_as_put_and_is_gone_when_erased",
    "test_any_ids_round_trip_and_never_meet_other_keys",
    "test_only_an_unconditional_write_passes_a_mark_and_the_mark_stays",
    "test_revs_rise_and_the_log_keeps_the_order",
    "test_two_replicas_converge_whoever_writes",
    "test_users_come_in_the_order_asked_and_unreadable_ones_count_as_none",
    "test_what_a_replica_lacks_is_read",
    "test_what_redis_lost_is_announced_again_as_it_was",
    "world",
]

DOC = Path(__file__).parents[3] / "docs" / "settings.md"
PASSWORD = "s/e@c:r%t"
ENCODED = "s%2Fe%40c%3Ar%25t"
OPTIONAL = {"+config|get"}


def rule() -> list[str]:
    """Return the rule as the docs have it."""
    found = re.search(r"^ACL SETUSER firstsight (.*)$", DOC.read_text(), re.MULTILINE)
    assert found is not None
    return found[1].replace("PASSWORD", PASSWORD).split()


RIGHTS = [one for one in rule() if one[0] in "+~" and one not in OPTIONAL]


@pytest.fixture(scope="module", params=["embedded", "on PATH"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server; versions differ in how they refuse."""
    binary = server_binary()
    if request.param == "on PATH":
        found = which("redis-server") or which("valkey-server")
        if found is None or server_version(Path(found)) == server_version(binary):
            pytest.skip("not run: no redis-server of another version on PATH")
        binary = Path(found)
    server = Server(tmp_path_factory.mktemp("acl"), binary=binary)
    with running(server):
        yield server


def allow(server: Server, *words: str) -> str:
    """Give the user these rights and no others; return the URL."""
    server.do("ACL", "DELUSER", "firstsight")
    server.do("ACL", "SETUSER", "firstsight", *words)
    return f"redis://firstsight:{ENCODED}@{server.name}"


@pytest.fixture
def redis_url(server: Server) -> str:
    """The URL of an empty Redis, for a user with the rights that the docs name."""
    server.do("FLUSHALL")
    server.do("SCRIPT", "FLUSH")
    return allow(server, *rule())


@pytest.fixture
def redis_client(redis_url: str, server: Server) -> "Iterator[redis.Redis]":
    """A client with all rights."""
    with server.client() as client:
        yield client


def test_the_rule_is_enough_to_start_and_looking_leaves_nothing(
    redis_url: str, redis_client: redis.Redis
) -> None:
    redis_client.set("{fs}:rev", 7)
    refuse_unfit(redis_url)
    assert redis_client.keys() == [b"{fs}:rev"]
    assert redis_client.get("{fs}:rev") == b"7"


def test_it_is_of_one_prefix(redis_url: str) -> None:
    with pytest.raises(RedisRefused, match=r"~\{ours\}:\* ~ours:user:\* ~ours:erased:\*"):
        refuse_unfit(redis_url, "ours")


@pytest.mark.parametrize("right", RIGHTS)
def test_a_right_that_is_missing_is_named(redis_url: str, server: Server, right: str) -> None:
    url = allow(server, *(one for one in rule() if one != right))
    with pytest.raises(RedisRefused) as caught:
        refuse_unfit(url)
    said = str(caught.value)
    assert right in re.findall(r"[+~][^ `]+", said)
    assert "firstsight" in said
    assert server.name in said
    assert "\n" not in said
    assert PASSWORD not in said
    assert ENCODED not in said


@pytest.mark.parametrize("right", sorted(OPTIONAL))
def test_without_what_is_optional_it_starts(redis_url: str, server: Server, right: str) -> None:
    refuse_unfit(allow(server, *(one for one in rule() if one != right)))


def test_what_writes_wait_for_takes_the_right_to_wait(redis_url: str, server: Server) -> None:
    version = tuple(int(part) for part in server_version(server.binary).split(".")[:2])
    is_known = version >= WAITAOF_SINCE
    for ack, right, is_needed in (("replica", "+wait", True), ("fsync", "+waitaof", is_known)):
        assert f"`{right}` for `FIRSTSIGHT_WRITE_ACK={ack}`" in DOC.read_text()
        refuse_unfit(redis_url)
        if is_needed:
            with pytest.raises(RedisRefused, match=rf"allow `\{right}`"):
                refuse_unfit(redis_url, write_ack=ack)
            refuse_unfit(allow(server, *rule(), right), write_ack=ack)
            allow(server, *rule())
        else:
            refuse_unfit(redis_url, write_ack=ack)


def test_who_may_not_wait_is_told_the_lower_level_and_the_right(
    redis_url: str, server: Server, tmp_path: Path
) -> None:
    async def use(store: Store) -> tuple[Durability | None, str | None]:
        await store.link.look()
        written = await store.write_item(put("x"), VECTORS[0], "v", 0)
        return store.link.durability, written.fault

    replica = Server(tmp_path, "--replicaof", "127.0.0.1", str(server.port), binary=server.binary)
    server.do("CONFIG", "SET", "appendonly", "yes")
    server.do("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    try:
        with running(replica):
            eventually(lambda: is_replicating(replica))
            told, fault = with_store(redis_url, use, ack=WriteAck("replica"))
            remedy = "redis does not let us wait: allow `+wait`"
            assert told == Durability("everysec", remedy)
            assert fault == remedy
            url = allow(server, *rule(), "+wait")
            told, fault = with_store(url, use, ack=WriteAck("replica"))
            assert (told, fault) == (Durability("replica"), None)
    finally:
        server.do("CONFIG", "SET", "appendonly", "no")


def test_behind_a_sentinel_role_is_needed(redis_url: str, server: Server) -> None:
    with server.client(username="firstsight", password=PASSWORD) as client:
        assert missing_rights(client, "fs") == []
        assert missing_rights(client, "fs", kind="sentinel") == ["+role"]


def test_in_a_cluster_the_map_is_needed_too(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, 2)

    async def use(store: Store) -> None:
        for one in "abcdefgh":
            await store.put_user(UserRecord(one, {"age": 1.0}))
            assert await store.delete_user(one)
        await store.write_item(put("x"), VECTORS[0], "v", 0)

    try:
        urls = [allow(node, *rule()) for node in cluster.nodes]
        url = urls[0].replace("redis://", "redis+cluster://")
        with pytest.raises(RedisRefused, match=r"allow `\+cluster\|slots`"):
            refuse_unfit(url)
        for node in cluster.nodes:
            allow(node, *rule(), "+cluster|slots")
        with pytest.raises(RedisRefused, match=r"allow `\+asking`"):
            refuse_unfit(url)
        for node in cluster.nodes:
            allow(node, *rule(), "+cluster|slots", "+asking")
        refuse_unfit(url)
        with_store(url, use)
    finally:
        cluster.kill()


@pytest.mark.parametrize("name", ["firstsight", "nobody"])
def test_who_is_not_let_in_is_told_so_without_the_password(redis_url: str, name: str) -> None:
    wrong = redis_url.replace("firstsight", name).replace(ENCODED, "hunter2")
    with pytest.raises(RedisRefused, match="does not let us in") as caught:
        refuse_unfit(wrong)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(StoreUnavailable) as denied:
        with_store(wrong, lambda store: store.write_item(put("x"), VECTORS[0], "v", 0))
    assert "hunter2" not in str(denied.value)


def test_a_right_that_is_lost_while_it_serves_is_named_in_the_error(
    redis_url: str, server: Server
) -> None:
    url = allow(server, *(one for one in rule() if one != "+evalsha"))
    with pytest.raises(StoreUnavailable, match=r"(?i)evalsha"):
        with_store(url, lambda store: store.write_item(put("x"), VECTORS[0], "v", 0))
