import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.metrics import (
    RankMetrics,
    Scores,
    Search,
    UserItems,
    dot_scores,
    rank,
    rank_metrics,
)


def table(scores: np.ndarray) -> Scores:
    return lambda users: np.asarray(scores, dtype=np.float32)[users]


def sets(*items: list[int]) -> UserItems:
    user = [u for u, row in enumerate(items) for _ in row]
    return UserItems.from_pairs(
        np.array(user), np.array([i for row in items for i in row]), len(items)
    )


def ranked(scores: list[list[float]], *relevant: list[int], k: int) -> RankMetrics:
    table_ = table(np.array(scores))
    return rank_metrics(table_, sets(*relevant), np.arange(len(scores[0])), ks=[k])


# Recall and ndcg


def test_recall_is_hits_over_relevant_items() -> None:
    # The order is 3, 1, 2, 0: items 3 and 1 come first.
    scores = [[0.1, 0.7, 0.4, 0.9]]
    assert ranked(scores, [1], k=2).recall == {2: 1.0}
    assert ranked(scores, [1, 2, 0], k=2).recall == {2: pytest.approx(1 / 3)}
    assert ranked(scores, [0], k=3).recall == {3: 0.0}


def test_ndcg_is_gain_over_the_best_gain_possible() -> None:
    # Ranks 2 and 3 of [3, 1, 2, 0] hold the relevant items; ranks 1 and 2 would be best.
    worked = (1 / math.log2(3) + 1 / math.log2(4)) / (1 / math.log2(2) + 1 / math.log2(3))
    assert ranked([[0.1, 0.7, 0.4, 0.9]], [1, 2], k=3).ndcg == {3: pytest.approx(worked)}
    # Three relevant items and k = 2: the best possible is two hits, one of which is at rank 2.
    worked = (1 / math.log2(3)) / (1 / math.log2(2) + 1 / math.log2(3))
    assert ranked([[0.1, 0.7, 0.4, 0.9]], [1, 2, 0], k=2).ndcg == {2: pytest.approx(worked)}


def test_mrr_is_one_over_the_rank_of_the_first_relevant_item() -> None:
    # The order is 3, 1, 2, 0. Items 2 and 0 stand at ranks 3 and 4: the first counts.
    scores = [[0.1, 0.7, 0.4, 0.9]]
    assert ranked(scores, [2, 0], k=4).mrr == {4: pytest.approx(1 / 3)}
    assert ranked(scores, [2, 0], k=2).mrr == {2: 0.0}
    assert ranked(scores * 2, [3], [1], k=4).mrr == {4: pytest.approx((1 + 1 / 2) / 2)}


def test_mrr_of_ties_is_the_mean_over_their_orders() -> None:
    # One item ahead, then four share a score, two of them relevant. The first of the two is at
    # place 1, 2, 3 of the four in 3, 2, 1 of the 6 orders: ranks 2, 3, 4.
    scores = [[5.0, 1.0, 1.0, 1.0, 1.0, 0.0]]
    whole = 3 / 6 / 2 + 2 / 6 / 3 + 1 / 6 / 4
    assert ranked(scores, [1, 4], k=6).mrr == {6: pytest.approx(whole)}
    assert ranked(scores, [1, 4, 5], k=6).mrr == {6: pytest.approx(whole)}
    assert ranked(scores, [1, 4], k=3).mrr == {3: pytest.approx(3 / 6 / 2 + 2 / 6 / 3)}


def test_figures_of_single_users_are_kept_by_user() -> None:
    measured = ranked([[3.0, 2.0, 1.0]] * 4, [0], [], [2], [0, 2], k=1)
    assert measured.per_user.users.tolist() == [0, 2, 3]
    assert measured.per_user.recall[1].tolist() == [1, 0, 0.5]
    assert measured.per_user.mrr[1].tolist() == [1, 0, 1]
    assert measured.recall[1] == measured.per_user.recall[1].mean()


def test_several_searches_score_each_user_once() -> None:
    asked: list[int] = []

    def scores(users: np.ndarray) -> np.ndarray:
        asked.extend(users.tolist())
        return np.tile(np.arange(5, dtype=np.float32), (len(users), 1))

    seen: list[int] = []
    searches = [
        (Search(np.arange(5)), sets([4], [0], [], [1])),
        (Search(np.array([0, 1])), sets([1], [], [], [0])),
    ]
    first, second = rank(scores, searches, lambda users, block: seen.extend(users.tolist()))
    assert asked == seen == [0, 1, 3]
    assert (first.user.tolist(), first.above.tolist()) == ([0, 1, 3], [0, 4, 3])
    assert (second.user.tolist(), second.above.tolist()) == ([0, 3], [0, 1])


def test_a_large_catalogue_is_ranked_in_small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ranked([[3.0, 1.0, 2.0]] * 7, *[[n % 3] for n in range(7)], k=2)
    sizes: list[int] = []

    def scores(users: np.ndarray) -> np.ndarray:
        sizes.append(len(users))
        return np.tile(np.array([3, 1, 2], dtype=np.float32), (len(users), 1))

    monkeypatch.setattr("training.metrics.CELLS_PER_BLOCK", 6)
    few = rank_metrics(scores, sets(*[[n % 3] for n in range(7)]), np.arange(3), ks=[2])
    assert sizes == [2, 2, 2, 1]
    assert few == whole


def test_mean_is_over_users_who_have_relevant_items() -> None:
    scores = [[3.0, 2.0, 1.0]] * 3
    measured = ranked(scores, [0], [], [2], k=1)
    assert (measured.recall[1], measured.users, measured.users_left_out) == (0.5, 2, 0)


def test_masked_items_take_no_place() -> None:
    scores = table(np.array([[4.0, 3.0, 2.0, 1.0]]))
    everything = np.arange(4)
    assert rank_metrics(scores, sets([2]), everything, sets([1]), [2]).recall == {2: 1.0}
    assert rank_metrics(scores, sets([2]), everything, None, [2]).recall == {2: 0.0}


def test_items_that_are_no_candidates_take_no_place() -> None:
    scores = table(np.array([[4.0, 3.0, 2.0, 1.0]]))
    assert rank_metrics(scores, sets([2]), np.array([3, 2]), ks=[1]).recall == {1: 1.0}


def test_relevant_items_that_cannot_be_recalled_are_left_out_and_counted() -> None:
    scores = table(np.ones((3, 4)))
    relevant = sets([0, 3], [1, 2], [3])
    measured = rank_metrics(scores, relevant, np.array([0, 1, 2]), sets([], [1], [0]), [3])
    assert measured.recall == {3: 1.0}
    assert (measured.users, measured.users_left_out) == (2, 1)
    assert (measured.pairs, measured.pairs_left_out) == (2, 3)


def test_no_candidates_give_nan_and_not_zero() -> None:
    measured = rank_metrics(table(np.ones((1, 2))), sets([1]), np.array([], dtype=np.int64))
    assert math.isnan(measured.recall[100])
    assert math.isnan(measured.ndcg[100])
    assert measured.users_left_out == 1


def test_scorer_of_one_score_measures_as_random_wherever_items_are_stored() -> None:
    tied = [[1.0] * 10] * 2
    first, last = ranked(tied, [0, 1], [0], k=3), ranked(tied, [8, 9], [9], k=3)
    assert first.recall == last.recall == {3: pytest.approx(3 / 10)}
    assert first.ndcg == last.ndcg


def test_ties_are_the_mean_over_all_their_orders() -> None:
    scores, relevant, k = np.array([2.0, 1.0, 1.0, 1.0, 0.0]), [1, 3], 3
    exact = ranked([list(scores)], relevant, k=k)
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(4000):
        shuffled = rng.permutation(5)
        order = shuffled[np.argsort(-scores[shuffled], kind="stable")]
        places = [list(order).index(item) for item in relevant]
        gain = sum(1 / math.log2(place + 2) for place in places if place < k)
        drawn.append((sum(place < k for place in places) / 2, gain / (1 + 1 / math.log2(3))))
    recall, ndcg = np.mean(drawn, axis=0)
    assert exact.recall[k] == pytest.approx(recall, abs=0.02)
    assert exact.ndcg[k] == pytest.approx(ndcg, abs=0.02)


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1))
def test_metrics_equal_a_plain_sort_when_nothing_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    users, items, k = 300, 12, 4
    scores = np.stack([rng.permutation(items) for _ in range(users)])
    is_relevant, is_masked = rng.random((2, users, items)) < [[[0.3]], [[0.1]]]
    candidates = np.flatnonzero(rng.random(items) < 0.8)
    measured = rank_metrics(
        table(scores),
        sets(*(np.flatnonzero(row).tolist() for row in is_relevant)),
        candidates,
        sets(*(np.flatnonzero(row).tolist() for row in is_masked)),
        ks=[k],
    )
    recalls = []
    for user in range(users):
        allowed = [i for i in candidates if not is_masked[user, i]]
        wanted = {i for i in allowed if is_relevant[user, i]}
        best = sorted(allowed, key=lambda i: -scores[user, i])[:k]
        if wanted:
            recalls.append(len(wanted & set(best)) / len(wanted))
    assert measured.users == len(recalls)
    assert measured.recall[k] == pytest.approx(np.mean(recalls))


def test_vectors_rank_by_inner_product() -> None:
    user, item = np.eye(2, dtype=np.float32), np.array([[0, 1], [1, 0]], dtype=np.float32)
    assert rank_metrics(dot_scores(user, item), sets([1], [0]), np.arange(2), ks=[1]).recall[1] == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="expected finite"):
        ranked([[1.0, bad]], [0], k=1)


def test_user_items_are_sorted_sets() -> None:
    collected = UserItems.from_pairs(np.array([2, 0, 2, 2]), np.array([5, 1, 3, 5]), 4)
    assert [list(collected.of(user)) for user in range(4)] == [[1], [], [3, 5], []]
    row, item = collected.pairs(np.array([2, 1, 0]))
    assert (list(row), list(item)) == ([0, 0, 2], [3, 5, 1])


@pytest.mark.parametrize(("user", "item"), [(3, 0), (-1, 0), (0, -1)])
def test_indices_outside_are_refused(user: int, item: int) -> None:
    with pytest.raises(ValueError, match="below 0"):
        UserItems.from_pairs(np.array([user]), np.array([item]), 3)
