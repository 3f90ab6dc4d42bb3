"""The pointer's transitions, and whom it serves what, as properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.rollout.pointer import Pointer, PointerRefused, first_pointer, version_for

versions = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
shares = st.floats(0, 1, exclude_min=True, exclude_max=True)
ids = st.text(min_size=1, max_size=20)
generations = st.integers(1, 10**15 - 1)
trying = st.builds(Pointer, generations, versions, versions, shares, st.none() | versions)
settled = st.builds(Pointer, generations, versions, previous=st.none() | versions)
pointers = trying | settled


@given(pointers)
def test_what_is_written_is_read_again(pointer: Pointer) -> None:
    assert Pointer.parse(pointer.fields()) == pointer


def test_a_pointer_of_before_there_was_a_previous_one_is_read() -> None:
    fields = {"generation": "1", "current": "one", "candidate": "", "share": "0"}
    assert Pointer.parse(fields) == first_pointer("one")
    assert Pointer.parse(fields | {"colour": "blue"}) == first_pointer("one")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("generation", ""),
        ("generation", "0"),
        ("generation", "-1"),
        ("generation", "9" * 400),
        ("current", ""),
        ("current", "../../etc"),
        ("candidate", "a/b"),
        ("previous", ".a"),
        ("share", ""),
        ("share", "1"),
        ("share", "nan"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(name: str, text: str) -> None:
    fields = Pointer(3, "one", "two", 0.1, "zero").fields() | {name: text}
    with pytest.raises(ValueError, match=f"^{name}"):
        Pointer.parse(fields)


@given(pointers, versions)
def test_an_activated_version_serves_everyone_and_the_one_before_is_kept(
    pointer: Pointer, version: str
) -> None:
    after = pointer.activated(version)
    assert (after.current, after.candidate, after.share) == (version, None, 0)
    assert after.previous == (pointer.previous if version == pointer.current else pointer.current)


@given(pointers, versions, shares)
def test_a_version_with_a_share_becomes_the_candidate_and_nothing_else_changes(
    pointer: Pointer, version: str, share: float
) -> None:
    if version == pointer.current:
        with pytest.raises(PointerRefused, match="is current"):
            pointer.activated(version, share)
        return
    after = pointer.activated(version, share)
    assert (after.candidate, after.share) == (version, share)
    assert (after.current, after.previous) == (pointer.current, pointer.previous)


@given(trying)
def test_a_promoted_candidate_is_current_and_can_be_rolled_back(pointer: Pointer) -> None:
    assert pointer.candidate is not None
    after = pointer.activated(pointer.candidate)
    if pointer.candidate != pointer.current:
        assert after.rolled_back().current == pointer.current


@given(trying)
def test_a_rollback_drops_the_candidate_first(pointer: Pointer) -> None:
    after = pointer.rolled_back()
    assert (after.current, after.candidate, after.share) == (pointer.current, None, 0)
    assert after.previous == pointer.previous


@given(settled)
def test_a_rollback_goes_to_the_version_before_and_no_second_one_comes_back(
    pointer: Pointer,
) -> None:
    if pointer.previous is not None:
        pointer, before = pointer.rolled_back(), pointer
        assert (pointer.current, pointer.candidate) == (before.previous, None)
    with pytest.raises(PointerRefused, match="no version is known"):
        pointer.rolled_back()


@given(pointers, versions, shares | st.just(1.0))
def test_each_change_is_a_generation_and_what_is_so_already_is_none(
    pointer: Pointer, version: str, share: float
) -> None:
    try:
        after = pointer.activated(version, share)
    except PointerRefused:
        return
    grown = pointer.generation + 1
    assert after == pointer or after.generation == grown
    assert after.activated(version, share) == after
    if pointer.candidate or pointer.previous:
        assert pointer.rolled_back().generation == grown


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan"), float("inf")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(PointerRefused, match="share: got"):
        first_pointer("one").activated("two", share)


@given(trying, ids, shares)
def test_who_is_in_at_a_share_is_in_at_every_larger_one(
    pointer: Pointer, one: str, share: float
) -> None:
    assert pointer.candidate is not None
    if pointer.candidate == pointer.current:
        return
    less, more = sorted([pointer.share, share])
    at = [
        version_for(Pointer(1, pointer.current, pointer.candidate, part), one)
        for part in (less, more)
    ]
    assert at != [pointer.candidate, pointer.current]
    assert set(at) <= {pointer.candidate, pointer.current}


@given(trying, ids)
def test_a_users_version_depends_on_nothing_but_the_candidate_and_its_share(
    pointer: Pointer, one: str
) -> None:
    later = Pointer(pointer.generation + 7, "b", pointer.candidate, pointer.share, "z")
    is_in = version_for(pointer, one) == pointer.candidate != pointer.current
    if pointer.candidate not in (pointer.current, "b"):
        assert (version_for(later, one) == pointer.candidate) == is_in


@given(settled, ids)
def test_without_a_candidate_the_current_version_serves(pointer: Pointer, one: str) -> None:
    assert version_for(pointer, one) == pointer.current


@given(trying)
def test_who_gives_no_id_has_the_current_version(pointer: Pointer) -> None:
    assert version_for(pointer, None) == pointer.current


@given(versions, st.sampled_from([0.01, 0.1, 0.5, 0.9]))
def test_the_share_of_users_is_the_share(candidate: str, share: float) -> None:
    pointer, users = Pointer(1, "-", candidate, share), 2000
    served = sum(version_for(pointer, f"u{n}") == candidate for n in range(users))
    # 6 standard deviations: one false alarm in a billion.
    assert abs(served - share * users) <= 6 * (users * share * (1 - share)) ** 0.5


def test_another_candidate_is_tried_on_other_users() -> None:
    def tried_by(candidate: str) -> set[int]:
        pointer = Pointer(1, "-", candidate, 0.1)
        return {n for n in range(2000) if version_for(pointer, f"u{n}") == candidate}

    one, two = tried_by("one"), tried_by("two")
    assert len(one & two) < 0.3 * len(one)  # by chance a tenth


def test_the_hash_is_the_same_in_every_process_and_release() -> None:
    pointer = Pointer(1, "a", "b", 0.5)
    told = "".join(version_for(pointer, one) for one in ["u1", "u2", "u3", "ü", "01", "1", "🎬"])
    assert told == "bbaaaba"
