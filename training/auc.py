"""AUC and GAUC: how well scores order the rows that were shown, over all rows and within users."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Gauc:
    """AUC within users, and how much of the data it speaks for."""

    value: float
    users: int  # users with both labels
    rows: int  # rows of those users
    per_user: "UserAuc" = field(compare=False, repr=False)


@dataclass(frozen=True)
class UserAuc:
    """The AUC of each user who has both labels; arrays are [n], users ascending."""

    users: NDArray[np.int64]
    auc: Floats
    rows: Floats  # of the user: the weights of GAUC


def auc(
    scores: NDArray[Any], labels: NDArray[Any], weights: NDArray[np.float64] | None = None
) -> float:
    """Chance that a row of label 1 outscores one of label 0, a tie counting half.

    With weights, pairs count by the product of their weights. nan when a label is missing;
    raises ValueError for a nan score.
    """
    weights = np.ones(len(scores)) if weights is None else weights
    won, pairs, _ = _won_pairs(np.zeros(len(scores), dtype=np.int64), scores, labels, weights)
    return float(won[0] / pairs[0]) if len(pairs) and pairs[0] > 0 else float("nan")


def gauc(user: NDArray[Any], scores: NDArray[Any], labels: NDArray[Any]) -> Gauc:
    """Mean AUC within each user who has both labels, weighted by the user's number of rows.

    Unlike `auc` it rewards no knowledge of which users say yes more often. Raises ValueError
    for a nan score.
    """
    won, pairs, rows = _won_pairs(user, scores, labels, np.ones(len(scores)))
    both = pairs > 0
    users = np.unique(user).astype(np.int64)[both]
    each = UserAuc(users, won[both] / pairs[both], rows[both].astype(np.float64))
    if not len(users):
        return Gauc(float("nan"), 0, 0, each)
    value = np.average(each.auc, weights=each.rows)
    return Gauc(float(value), len(users), int(each.rows.sum()), each)


def _won_pairs(
    user: NDArray[Any], scores: NDArray[Any], labels: NDArray[Any], weights: NDArray[np.float64]
) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Weight of the pairs won, weight of all pairs, and rows: each [users], users ascending."""
    if np.isnan(scores).any():
        raise ValueError("scores: got nan, expected numbers")
    order = np.lexsort((scores, user))
    user, scores, is_positive = user[order], scores[order], labels[order] > 0
    positive, negative = weights[order] * is_positive, weights[order] * ~is_positive
    new_user = np.ones(len(user), dtype=bool)
    new_user[1:] = user[1:] != user[:-1]
    new_tie = new_user.copy()
    new_tie[1:] |= scores[1:] != scores[:-1]
    starts, ties = np.flatnonzero(new_user), np.flatnonzero(new_tie)
    if not len(starts):
        return np.zeros(0), np.zeros(0), starts
    user_of_tie = np.cumsum(new_user)[ties] - 1
    positives, negatives = np.add.reduceat(positive, ties), np.add.reduceat(negative, ties)
    before = np.cumsum(negatives) - negatives
    before -= before[np.searchsorted(ties, starts)][user_of_tie]
    won = np.bincount(user_of_tie, positives * (before + negatives / 2)).astype(np.float64)
    pairs = np.add.reduceat(positive, starts) * np.add.reduceat(negative, starts)
    return won, pairs, np.diff(np.append(starts, len(user)))
