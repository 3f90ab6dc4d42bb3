from typing import Any

import numpy as np
import pytest

from training.baselines import (
    ItemWords,
    best_of,
    content_neighbours,
    popularity_counts,
    popularity_scores,
    random_scores,
)
from training.metrics import UserItems, rank_metrics

COLUMNS: dict[str, list[Any]] = {
    "author": ["a", "a", "b", None, "b"],
    "tags": [["x", "y"], ["x"], ["y"], [], ["z"]],
    "kind": ["video"] * 5,
}


def one_each(items: list[int]) -> UserItems:
    return UserItems.from_pairs(np.arange(len(items)), np.array(items), len(items))


def test_random_scorer_recalls_k_in_n() -> None:
    relevant = one_each([user % 50 for user in range(70)])
    measured = rank_metrics(random_scores(50), relevant, np.arange(50), ks=[10])
    assert measured.recall[10] == pytest.approx(0.2)


def test_popularity_counts_positives_over_all_or_the_last_window() -> None:
    item, label = np.array([0, 0, 1, 2, 2]), np.array([1, 0, 1, 1, 1])
    timestamp = np.array([10.0, 20.0, 90.0, 80.0, 100.0])
    assert list(popularity_counts(item, label, 4)) == [1, 1, 2, 0]
    assert list(popularity_counts(item, label, 4, timestamp, window_s=20)) == [0, 1, 1, 0]


def test_popularity_of_a_window_needs_time() -> None:
    with pytest.raises(ValueError, match="timestamp"):
        popularity_counts(np.array([0]), np.array([1]), 1, window_s=5)


def test_best_of_takes_the_scorer_that_validation_prefers() -> None:
    relevant, items = one_each([2, 2, 1]), np.arange(3)
    scorers = {
        "all": popularity_scores(np.array([3, 2, 1], dtype=np.float32)),
        "last": popularity_scores(np.array([1, 2, 3], dtype=np.float32)),
    }
    assert best_of(scorers, lambda s: rank_metrics(s, relevant, items, ks=[1]).recall[1]) == "last"
    assert best_of(scorers, lambda _: 0.5) == "all"


def test_cosine_of_content_worked_by_hand() -> None:
    # Of 5 items: a 2, b 2, x 2, y 2 have ln 2.5 each; kind=video ln 1; z is on one item only.
    words = ItemWords(COLUMNS)
    cosines = words.cosines(words.mean(np.array([0])))
    both, one = 1 / np.sqrt(3 * 2), 2 / np.sqrt(3 * 2)
    assert cosines == pytest.approx([1, one, both, 0, 0], abs=1e-12)


def test_rare_word_weighs_more_than_a_common_one() -> None:
    columns = {"tags": [["rare", "common"], ["rare"], ["common"], ["common"], ["common"], []]}
    words = ItemWords(columns)
    cosines = words.cosines(words.mean(np.array([0])))
    assert cosines[1] > cosines[2] > 0


def test_equal_values_of_different_features_are_different_words() -> None:
    words = ItemWords({"author": ["7", None, "7"], "music": [None, "7", None]})
    assert list(words.cosines(words.mean(np.array([0])))) == [1, 0, 1]


def test_user_is_scored_by_the_mean_of_what_was_liked() -> None:
    words = ItemWords(COLUMNS)
    liked = UserItems.from_pairs(np.array([0, 0]), np.array([1, 2]), 1)
    scores = content_neighbours(words, liked, popularity_scores(np.zeros(5, np.float32)))
    # Item 1 is (a, x) / sqrt 2, item 2 is (b, y) / sqrt 2; item 0 is (a, x, y) / sqrt 3.
    row = scores(np.array([0]))[0]
    assert row[0] == pytest.approx(3 / np.sqrt(3 * 4))
    assert row[1] == pytest.approx(1 / np.sqrt(2))
    assert row[4] == pytest.approx(1 / np.sqrt(4))
    assert row[3] == 0


def test_user_of_whom_nothing_is_known_gets_the_fallback() -> None:
    counts = np.array([5, 4, 3, 2, 1], dtype=np.float32)
    liked = UserItems.from_pairs(np.array([0, 2]), np.array([0, 3]), 3)  # item 3 has no words
    scores = content_neighbours(ItemWords(COLUMNS), liked, popularity_scores(counts))
    rows = scores(np.array([0, 1, 2]))
    assert rows.dtype == np.float32
    assert not np.array_equal(rows[0], counts)
    assert np.array_equal(rows[1:], [counts, counts])


def test_cold_item_with_the_content_a_user_likes_is_recalled_first() -> None:
    # Nobody has an interaction with item 2; it shares its tags with what user 0 liked.
    words = ItemWords({"tags": [["x", "y"], ["z"], ["x", "y"], ["z"]]})
    scores = content_neighbours(words, one_each([0]), random_scores(4))
    measured = rank_metrics(scores, one_each([2]), np.arange(4), one_each([0]), ks=[1])
    assert measured.recall[1] == 1
