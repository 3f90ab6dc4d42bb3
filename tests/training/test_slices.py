from dataclasses import replace

import numpy as np
import pytest

from tests.training.tables import make_data
from training.data import Data
from training.metrics import UserItems, rank_metrics
from training.slices import FEW_SHOT, FINE, SLICES, Bucket, Slices
from training.split import TEST, TRAIN, UNUSED, VALIDATION, Split

# Users: 0 and 1 warm, 2 pseudo-cold, 3 cold. Items: 0, 1, 2 warm, 3 pseudo-cold, 4 cold,
# 5 cold and without any row before test, 6 never seen.
ROWS = [
    # user, item, label, part
    (0, 0, 1, TRAIN),
    (0, 1, 0, TRAIN),
    (1, 1, 1, TRAIN),
    (1, 2, 1, TRAIN),
    (0, 2, 1, VALIDATION),
    (0, 3, 1, VALIDATION),
    (2, 0, 1, VALIDATION),
    (2, 3, 1, VALIDATION),
    (1, 0, 0, VALIDATION),
    (0, 4, 1, UNUSED),
    (0, 1, 1, TEST),
    (0, 4, 1, TEST),
    (1, 3, 1, TEST),
    (2, 1, 1, TEST),
    (3, 0, 1, TEST),
    (3, 5, 1, TEST),
    (1, 5, 0, TEST),
]


@pytest.fixture(scope="module")
def data() -> Data:
    user, item, label, _ = zip(*ROWS, strict=True)
    return make_data(user, item, label=label, users=4, items=7)


@pytest.fixture(scope="module")
def split() -> Split:
    def flags(size: int, *which: int) -> np.ndarray:
        return np.isin(np.arange(size), which)

    return Split(
        np.array([row[3] for row in ROWS], np.int8),
        cold_users={VALIDATION: flags(4, 2, 3), TEST: flags(4, 3)},
        cold_items={VALIDATION: flags(7, 3, 4, 5, 6), TEST: flags(7, 4, 5, 6)},
    )


def pairs(found: UserItems) -> set[tuple[int, int]]:
    return {(user, int(item)) for user in range(len(found.starts) - 1) for item in found.of(user)}


def test_test_slices_are_as_worked_out_by_hand(data: Data, split: Split) -> None:
    slices = Slices.of(data, split, TEST)
    found = {one.name: (pairs(one.relevant), one.candidates.tolist()) for one in slices.slices}
    everything, cold = list(range(7)), [4, 5, 6]
    assert found == {
        "warm": ({(0, 1), (1, 3), (2, 1)}, everything),
        "cold_item": ({(0, 4)}, cold),
        "cold_user": ({(3, 0)}, everything),
        "cold_both": ({(3, 5)}, cold),
        "all": ({(0, 1), (1, 3), (2, 1), (0, 4), (3, 0), (3, 5)}, everything),
    }
    assert tuple(found) == SLICES


def test_test_masks_the_clicks_of_train_and_validation(data: Data, split: Split) -> None:
    masked = pairs(Slices.of(data, split, TEST).masked)
    assert masked == {(0, 0), (1, 1), (1, 2), (0, 2), (0, 3), (2, 0), (2, 3)}


def test_validation_slices_are_as_worked_out_by_hand(data: Data, split: Split) -> None:
    slices = Slices.of(data, split, VALIDATION)
    found = {one.name: (pairs(one.relevant), one.candidates.tolist()) for one in slices.slices}
    assert found == {
        "warm": ({(0, 2)}, [0, 1, 2, 3]),
        "cold_item": ({(0, 3)}, [3]),
        "cold_user": ({(2, 0)}, [0, 1, 2, 3]),
        "cold_both": ({(2, 3)}, [3]),
        "all": ({(0, 2), (0, 3), (2, 0), (2, 3)}, [0, 1, 2, 3]),
    }
    assert pairs(slices.masked) == {(0, 0), (1, 1), (1, 2)}


def test_validation_does_not_search_among_what_only_test_may_know(data: Data, split: Split) -> None:
    later = set(np.flatnonzero(split.cold_items[TEST]).tolist())
    for one in Slices.of(data, split, VALIDATION).slices:
        assert not later & set(one.candidates.tolist())


def test_a_slice_without_positives_is_left_out(data: Data, split: Split) -> None:
    nobody = np.zeros(4, bool)
    warm = Split(split.part, {VALIDATION: nobody, TEST: nobody}, split.cold_items)
    found = Slices.of(data, warm, TEST).measure(lambda users: np.zeros((len(users), 7), np.float32))
    assert set(found) == {"warm", "cold_item", "all"}


def test_what_was_clicked_before_is_no_positive_again() -> None:
    rows = [(0, 0, TRAIN), (0, 0, TEST), (0, 1, TEST), (1, 0, TEST)]
    user, item, part = zip(*rows, strict=True)
    cold = {part: np.array([False, True]) for part in (VALIDATION, TEST)}
    split = Split(np.array(part, np.int8), cold, cold)
    slices = {
        one.name: pairs(one.relevant)
        for one in Slices.of(make_data(user, item), split, TEST).slices
    }
    assert slices["warm"] == set()
    assert slices["all"] == {(0, 1), (1, 0)}


def test_recall_counts_a_users_items_among_the_candidates(data: Data, split: Split) -> None:
    ranks = np.arange(7, dtype=np.float32)  # a higher item is always the better one
    found = Slices.of(data, split, TEST).measure(
        lambda users: np.tile(ranks, (len(users), 1)), (2,)
    )
    # user 0 ranks 6 5 4 1 (0, 2, 3 masked), user 1 6 5 4 3 0, user 2 6 5 4 2 1
    assert found["warm"].recall[2] == 0
    assert found["cold_item"].recall[2] == 0  # among 4 5 6, item 4 is third
    assert found["cold_both"].recall[2] == 1  # and item 5 second
    assert found["all"].recall[2] == pytest.approx((0 + 0 + 0 + 1 / 2) / 4)


def test_buckets_count_rows_of_both_labels_before_the_part(data: Data, split: Split) -> None:
    # Rows in train and validation: items 0, 1, 2, 3 have 3, 2, 2, 2, items 4 to 6 none (the
    # unused row of item 4 is no row before test); users 0 to 3 have 4, 3, 2, 0.
    buckets = (Bucket("item", 0, 0), Bucket("item", 2, 2), Bucket("item", 3), Bucket("user", 3, 4))
    slices = Slices.of(data, split, TEST, buckets)
    found = {one.name: pairs(one.relevant) for one in slices.slices if one.name not in SLICES}
    assert found == {
        "item 0": {(0, 4), (3, 5)},
        "item 2": {(0, 1), (1, 3), (2, 1)},
        "item >2": {(3, 0)},
        "user 3-4": {(0, 1), (0, 4), (1, 3)},
    }
    assert all(one.search is slices.named("all").search for one in slices.slices[-4:])


def test_validation_buckets_count_train_rows_alone(data: Data, split: Split) -> None:
    slices = Slices.of(data, split, VALIDATION, (Bucket("item", 1, 1), Bucket("item", 2, 2)))
    assert pairs(slices.named("item 1").relevant) == {(0, 2), (2, 0)}
    assert pairs(slices.named("item 2").relevant) == set()


@pytest.mark.parametrize("buckets", [FEW_SHOT[:4], FEW_SHOT[4:], FINE])
def test_buckets_share_out_all_counts(buckets: tuple[Bucket, ...]) -> None:
    held = np.sum([one.holds(np.arange(1000)) for one in buckets], axis=0)
    assert (held == 1).all()
    assert len({one.side for one in buckets}) == 1


def test_a_split_may_say_what_a_slice_is_searched_among_and_without(
    data: Data, split: Split
) -> None:
    masks = {"warm": UserItems.from_pairs(np.array([1]), np.array([3]), 4)}
    own = replace(split, candidates={"cold_item": np.array([3, 4, 5])}, masks=masks)
    slices = Slices.of(data, own, TEST)
    assert slices.named("cold_item").candidates.tolist() == [3, 4, 5]
    assert slices.named("cold_both").candidates.tolist() == [4, 5, 6]
    found = slices.measure(lambda users: np.tile(np.arange(7.0), (len(users), 1)), (1,))
    warm = found["warm"]  # user 1's item 3 is masked now, and what was clicked before is not
    assert (warm.users, warm.pairs, warm.pairs_left_out) == (2, 2, 1)
    validation = Slices.of(data, own, VALIDATION)
    assert validation.named("cold_item").candidates.tolist() == [3]


def test_every_slice_measures_as_it_does_alone(data: Data, split: Split) -> None:
    table = np.random.default_rng(0).integers(0, 4, (4, 7)).astype(np.float32)
    slices = Slices.of(data, split, TEST, FEW_SHOT)
    together = slices.measure(lambda users: table[users], (2,))
    assert len(together) > 6
    for name, found in together.items():
        one = slices.named(name)
        alone = rank_metrics(
            lambda users: table[users], one.relevant, one.candidates, slices.masked, (2,)
        )
        assert found == alone
