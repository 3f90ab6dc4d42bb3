import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.metrics import (
    RankMetrics,
    Scores,
    UserItems,
    auc,
    dot_scores,
    gauc,
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


@settings(max_examples=50, deadline=None)
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


# AUC


def test_auc_counts_pairs_won_and_half_of_pairs_tied() -> None:
    # Positives .8 .5, negatives .5 .2: three pairs won, one tied.
    scores, labels = np.array([0.8, 0.5, 0.5, 0.2]), np.array([1, 1, 0, 0])
    assert auc(scores, labels) == 3.5 / 4
    assert auc(-scores, labels) == 0.5 / 4
    assert auc(np.zeros(4), labels) == 0.5


def test_auc_weighs_pairs_by_both_rows() -> None:
    scores, labels = np.array([0.8, 0.1, 0.5]), np.array([1, 1, 0])
    assert auc(scores, labels, np.array([3.0, 1.0, 2.0])) == 6 / 8
    assert auc(scores, labels, np.ones(3)) == auc(scores, labels)


@pytest.mark.parametrize("labels", [[1, 1], [0, 0], []])
def test_auc_of_one_label_is_nan(labels: list[int]) -> None:
    assert math.isnan(auc(np.zeros(len(labels)), np.array(labels)))


def test_gauc_weighs_users_with_both_labels_by_rows() -> None:
    # User 7: .5 over 3 rows; user 2: 1 over 2 rows; user 5 has positives only.
    user = np.array([7, 2, 5, 7, 2, 7, 5])
    scores = np.array([2.0, 0.9, 9.0, 1.0, 0.1, 3.0, 8.0])
    labels = np.array([1, 1, 1, 0, 0, 0, 1])
    measured = gauc(user, scores, labels)
    assert measured.value == pytest.approx((0.5 * 3 + 1 * 2) / 5)
    assert (measured.users, measured.rows) == (2, 5)


def test_gauc_rewards_no_knowledge_of_the_user() -> None:
    user = np.array([0, 0, 0, 1, 1, 1])
    labels = np.array([1, 1, 0, 1, 0, 0])
    by_user_rate = np.array([2 / 3] * 3 + [1 / 3] * 3)
    assert auc(by_user_rate, labels) > 0.6
    assert gauc(user, by_user_rate, labels).value == 0.5


def test_gauc_of_no_user_with_both_labels_is_nan() -> None:
    measured = gauc(np.array([0, 1]), np.array([0.1, 0.2]), np.array([1, 0]))
    assert math.isnan(measured.value)
    assert (measured.users, measured.rows) == (0, 0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.booleans()), max_size=40))
def test_gauc_equals_counting_pairs(rows: list[tuple[int, int, bool]]) -> None:
    user, scores, labels = np.array(rows, dtype=int).reshape(-1, 3).T
    total = weight = 0.0
    for name in set(user):
        mine = user == name
        positives, negatives = scores[mine & (labels == 1)], scores[mine & (labels == 0)]
        if len(positives) and len(negatives):
            won = np.sign(positives[:, None] - negatives) / 2 + 0.5
            total += mine.sum() * won.mean()
            weight += mine.sum()
    measured = gauc(user, scores, labels)
    assert measured.rows == weight
    assert not weight or measured.value == pytest.approx(total / weight)


def test_auc_refuses_nan() -> None:
    with pytest.raises(ValueError, match="got nan"):
        auc(np.array([np.nan, 1.0]), np.array([0, 1]))
