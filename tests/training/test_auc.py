import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.auc import auc, gauc


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
    each = measured.per_user
    assert each.users.tolist() == [2, 7]
    assert each.auc.tolist() == [1, 0.5]
    assert each.rows.tolist() == [2, 3]


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


@settings(max_examples=50)
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
