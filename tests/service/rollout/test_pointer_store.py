import threading
from pathlib import Path

import pytest
import redis

from service.rollout.pointer import Pointer, PointerRefused, first_pointer
from service.rollout.pointer_store import (
    PointerUnknown,
    activate_first,
    change_pointer,
    read_pointer,
)
from service.settings import Settings


@pytest.fixture
def settings(redis_url: str) -> Settings:
    return Settings(redis=redis_url)


def current_of(settings: Settings) -> str | None:
    pointer = read_pointer(settings)
    return None if pointer is None else pointer.current


def test_the_first_version_becomes_current_and_no_later_one_does(
    settings: Settings, redis_client: redis.Redis
) -> None:
    assert current_of(settings) is None
    activate_first(settings, "one")
    activate_first(settings, "two")
    assert current_of(settings) == "one"
    assert redis_client.hgetall("{fs}:current") == {
        b"generation": b"1",
        b"current": b"one",
        b"candidate": b"",
        b"share": b"0",
        b"previous": b"",
    }


def test_a_pointer_without_a_previous_version_is_read_and_changed(
    settings: Settings, redis_client: redis.Redis
) -> None:
    kept = ["generation", "1", "current", "one", "candidate", "", "share", "0"]
    redis_client.hset("{fs}:current", items=kept)
    before = read_pointer(settings)
    assert before == Pointer(1, "one")
    change_pointer(settings, before, before.activated("two"))
    assert read_pointer(settings) == Pointer(2, "two", previous="one")


def test_a_change_is_read_whole(settings: Settings) -> None:
    pointer = change_pointer(settings, None, first_pointer("one"))
    steps = [("two", 0.1), ("two", 0.25), ("two", 1.0), ("three", 0.5)]
    for version, share in steps:
        pointer = change_pointer(settings, pointer, pointer.activated(version, share))
        assert read_pointer(settings) == pointer
    assert pointer == Pointer(5, "two", "three", 0.5, "one")
    pointer = change_pointer(settings, pointer, pointer.rolled_back())
    pointer = change_pointer(settings, pointer, pointer.rolled_back())
    assert read_pointer(settings) == pointer == Pointer(7, "one")


@pytest.mark.parametrize("before", [None, Pointer(1, "one"), Pointer(3, "one")])
def test_a_late_change_is_refused_and_told_who_came_first(
    settings: Settings, before: Pointer | None
) -> None:
    first = change_pointer(settings, None, first_pointer("one"))
    now = change_pointer(settings, first, first.activated("two"))
    late = first_pointer("three") if before is None else before.activated("three")
    expected = 0 if before is None else before.generation
    told = rf"generation 2 came first, expected {expected}; version two is current now"
    with pytest.raises(PointerRefused, match=told):
        change_pointer(settings, before, late)
    assert read_pointer(settings) == now


def test_a_change_of_a_pointer_that_is_gone_is_refused(settings: Settings) -> None:
    before = Pointer(4, "one")
    with pytest.raises(PointerRefused, match="expected generation 4, but there is no pointer"):
        change_pointer(settings, before, before.activated("two"))
    assert read_pointer(settings) is None


def test_of_publishers_that_race_one_wins_and_none_is_lost(settings: Settings) -> None:
    pointer: Pointer | None = None
    for number in range(10):
        start = threading.Barrier(4)
        won: list[Pointer] = []
        refused: list[str] = []

        def race(
            name: str,
            before: Pointer | None = pointer,
            start: threading.Barrier = start,
            won: list[Pointer] = won,
            refused: list[str] = refused,
        ) -> None:
            after = first_pointer(name) if before is None else before.activated(name)
            start.wait()
            try:
                won.append(change_pointer(settings, before, after))
            except PointerRefused as error:
                refused.append(str(error))

        threads = [threading.Thread(target=race, args=(f"v{number}.{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = won
        assert read_pointer(settings) == winner
        assert winner.generation == number + 1
        assert len(refused) == 3
        assert all(f"generation {winner.generation} came first" in told for told in refused)
        assert all(f"version {winner.current} is current" in told for told in refused)
        pointer = winner


def test_prefixes_have_pointers_of_their_own(settings: Settings) -> None:
    other = settings.model_copy(update={"prefix": "other"})
    activate_first(settings, "one")
    activate_first(other, "two")
    assert (current_of(settings), current_of(other)) == ("one", "two")


def test_a_redis_that_does_not_answer_is_told(tmp_path: Path) -> None:
    settings = Settings(redis=f"unix://{tmp_path}/none.sock")
    with pytest.raises(PointerUnknown, match="redis: ConnectionError"):
        current_of(settings)
    with pytest.raises(PointerUnknown):
        change_pointer(settings, None, first_pointer("one"))
    activate_first(settings, "tiny-1")  # says so in the log, and is no error
    with pytest.raises(PointerUnknown, match="no Redis is given"):
        current_of(Settings())


def test_a_pointer_that_names_no_version_is_not_followed_into_the_file_system(
    settings: Settings, redis_client: redis.Redis
) -> None:
    redis_client.hset("{fs}:current", mapping={"generation": 1, "current": "../../etc"})
    with pytest.raises(PointerUnknown, match="no version"):
        current_of(settings)


def test_a_key_that_holds_something_else_is_told(
    settings: Settings, redis_client: redis.Redis
) -> None:
    redis_client.set("{fs}:current", "one")
    with pytest.raises(PointerUnknown, match="WRONGTYPE"):
        current_of(settings)
    with pytest.raises(PointerUnknown, match="WRONGTYPE"):
        change_pointer(settings, None, first_pointer("one"))
