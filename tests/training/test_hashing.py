import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.hashing import chosen, chosen_pairs

IDS = [f"id{number}" for number in range(4000)]


@given(st.lists(st.text(), unique=True, min_size=1), st.floats(0, 1), st.integers(0, 9))
def test_whether_an_id_is_chosen_does_not_depend_on_the_others(
    ids: list[str], share: float, seed: int
) -> None:
    together = chosen(ids, share, str(seed))
    assert together.tolist() == [bool(chosen([one], share, str(seed))[0]) for one in ids]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_the_share_is_near_what_was_asked(share: float) -> None:
    spread = 4 * np.sqrt(share * (1 - share) / len(IDS))
    assert abs(chosen(IDS, share, "a").mean() - share) <= spread
    at = np.arange(len(IDS), dtype=np.int32)
    for user, item in ((at, at * 0), (at % 7, at), (at, at[::-1])):
        pairs = chosen_pairs(IDS, IDS, user, item, share, "a")
        assert abs(pairs.mean() - share) <= spread


def test_what_is_chosen_grows_with_the_share() -> None:
    fewer, more = chosen(IDS, 0.2, "a"), chosen(IDS, 0.3, "a")
    assert not (fewer & ~more).any()


def test_another_salt_chooses_others() -> None:
    agree = (chosen(IDS, 0.5, "a") == chosen(IDS, 0.5, "b")).mean()
    assert 0.45 < agree < 0.55


def test_a_pair_is_chosen_by_its_ids_and_not_by_its_place() -> None:
    users, items = ["u0", "u1", "u2"], ["i0", "i1"]
    user = np.array([0, 1, 2, 0, 1, 2], dtype=np.int32)
    item = np.array([0, 0, 0, 1, 1, 1], dtype=np.int32)
    for seed in range(20):
        before = chosen_pairs(users, items, user, item, 0.5, str(seed))
        turned = chosen_pairs(users[::-1], items[::-1], 2 - user, 1 - item, 0.5, str(seed))
        assert before.tolist() == turned.tolist()


def test_a_pair_the_other_way_round_is_another_pair() -> None:
    rng = np.random.default_rng(1)
    user, item = rng.integers(0, 4000, (2, 4000)).astype(np.int32)
    one = chosen_pairs(IDS, IDS, user, item, 0.5, "a")
    other = chosen_pairs(IDS, IDS, item, user, 0.5, "a")
    assert 0.45 < (one == other).mean() < 0.55
