"""Which of the loaded versions serves whom, whatever the pointer says."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.processes.loaded import Loaded
from service.rollout.pointer import Pointer, version_for
from service.serving import Serving

ONE = Pointer(1, "one")
TRIED = Pointer(2, "one", "two", 0.5, "zero")
USERS = [f"u{n}" for n in range(200)]

versions = st.sampled_from(["one", "two", "three"])
pointers = st.builds(
    lambda generation, current, other, share: Pointer(
        generation, current, *((other, share) if other not in (None, current) else (None, 0.0))
    ),
    st.integers(1, 9),
    versions,
    st.none() | versions,
    st.sampled_from([0.1, 0.5, 0.9]),
)


@dataclass
class Case:
    version: str


def serving(pointer: Pointer, *loaded: str, refused: dict[str, str] | None = None) -> Serving:
    """Make one of the versions named; nothing else of them counts here."""
    cases: Any = {version: SimpleNamespace(version=version) for version in loaded}
    return Serving(Loaded(pointer, cases, refused or {}), cases)


def shares(served: Serving) -> dict[str, int]:
    told = [served.for_user(user).version for user in USERS]
    return {version: told.count(version) for version in set(told)}


def test_a_candidate_serves_its_users_and_who_gives_no_id_has_the_current_version() -> None:
    served = serving(TRIED, "one", "two")
    assert all(served.for_user(user).version == version_for(TRIED, user) for user in USERS)
    assert shares(served).keys() == {"one", "two"}
    assert served.for_user(None).version == "one"
    assert (served.share("one"), served.share("two")) == (0.5, 0.5)


def test_a_loaded_candidate_is_promoted_dropped_and_brought_back_without_a_load() -> None:
    served = serving(TRIED, "one", "two")
    for pointer, told in [
        (Pointer(3, "two", previous="one"), {"two": 200}),
        (Pointer(4, "one"), {"one": 200}),
        (Pointer(5, "one", "two", 0.9), {"one": 14, "two": 186}),
    ]:
        assert served.follow(pointer) == []
        assert shares(served) == told
        assert served.pointer == pointer


def test_a_version_that_is_not_loaded_is_asked_for_and_serves_nobody() -> None:
    served = serving(ONE, "one")
    assert served.follow(TRIED) == ["two"]
    assert shares(served) == {"one": 200}
    assert served.pointer == Pointer(2, "one", previous="zero")
    assert served.follow(Pointer(3, "three")) == ["three"]
    assert shares(served) == {"one": 200}


def test_a_candidate_is_not_tried_beside_a_version_that_is_no_longer_current() -> None:
    served = serving(TRIED, "one", "two")
    assert served.follow(Pointer(3, "three")) == ["three"]
    assert shares(served) == {"one": 200}


def test_a_refused_candidate_is_asked_for_again_once_the_pointer_was_changed() -> None:
    alone = Pointer(2, "one", previous="zero")
    served = serving(alone, "one", refused={"two": "two: damaged"})
    assert served.follow(TRIED) == []
    assert served.refusal() == "two: two: damaged"
    assert served.follow(Pointer(3, "one", "two", 0.6)) == ["two"]
    assert served.refusal() is None


def test_how_long_a_version_is_loaded_for_nobody_is_known() -> None:
    served = serving(TRIED, "one", "two")
    served.follow(TRIED)
    assert served.unnamed_for_s() == 0
    served.follow(Pointer(3, "two"))
    first = served.unnamed_for_s()
    served.follow(Pointer(3, "two"))
    assert served.unnamed_for_s() > first > 0
    served.follow(Pointer(4, "two", "one", 0.1))
    assert served.unnamed_for_s() == 0


@given(st.lists(pointers, min_size=1, max_size=6), st.sets(versions, min_size=1))
def test_whatever_the_pointer_says_a_loaded_version_answers(
    told: list[Pointer], loaded: set[str]
) -> None:
    first = sorted(loaded)[0]
    served = serving(Pointer(1, first), *loaded)
    for pointer in told:
        missing = served.follow(pointer)
        named = {pointer.current, pointer.candidate} - {None}
        assert set(missing) == named - loaded
        assert shares(served).keys() <= loaded
        if pointer.current in loaded:
            assert served.current.version == pointer.current
        if not missing:
            assert served.pointer == pointer
        assert sum(served.share(version) for version in loaded) == pytest.approx(1)
