"""Measures of recall and of ordering: arrays in, numbers out.

Equal scores are broken at random, and every figure is the mean over all those random orders,
worked out exactly: so a scorer that gives one score to everything measures as random does, by
whatever order the items are stored in, and no figure depends on a seed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]
# User indices [users] -> scores of every item [users, items], higher is better.
Scores = Callable[[Indices], NDArray[np.float32]]

USERS_PER_CHUNK = 256
CELLS_PER_BLOCK = 1 << 23


@dataclass(frozen=True)
class UserItems:
    """A set of item indices for each user: those of user `u` are items[starts[u]:starts[u + 1]]."""

    starts: Indices  # [users + 1]
    items: Indices  # [pairs], ascending within a user

    @classmethod
    def from_pairs(cls, user: NDArray[Any], item: NDArray[Any], users: int) -> Self:
        """Collect pairs of indices (in any order, repeats count once) for users 0..users-1."""
        user, item = np.asarray(user, dtype=np.int64), np.asarray(item, dtype=np.int64)
        if len(user) and (min(user.min(), item.min()) < 0 or user.max() >= users):
            raise ValueError(f"got a user above {users - 1} or an index below 0")
        width = 1 + item.max(initial=0)
        user, item = np.divmod(np.unique(user * width + item), width)
        counts = np.bincount(user, minlength=users)
        return cls(np.concatenate([[0], np.cumsum(counts)]), item)

    def of(self, user: int) -> Indices:
        """Item indices of one user, ascending."""
        return self.items[self.starts[user] : self.starts[user + 1]]

    def pairs(self, users: Indices) -> tuple[Indices, Indices]:
        """Positions in `users`, and item indices: one pair for each item of those users."""
        counts = self.starts[users + 1] - self.starts[users]
        row = np.repeat(np.arange(len(users)), counts)
        first = np.cumsum(counts) - counts
        return row, self.items[(self.starts[users] - first)[row] + np.arange(len(row))]


@dataclass(frozen=True)
class RankMetrics:
    """Means over users; `recall` and `ndcg` by k (nan when no user is left)."""

    recall: dict[int, float]
    ndcg: dict[int, float]
    users: int  # in the means
    users_left_out: int  # had relevant items, none of which could be recalled
    pairs: int  # relevant (user, item) pairs in the means
    pairs_left_out: int  # relevant, but no candidate or masked


@dataclass(frozen=True)
class Gauc:
    """AUC within users, and how much of the data it speaks for."""

    value: float
    users: int  # users with both labels
    rows: int  # rows of those users


def dot_scores(user_vectors: NDArray[np.float32], item_vectors: NDArray[np.float32]) -> Scores:
    """Inner products of vectors [users, dim] and [items, dim], cosines of unit vectors."""
    return lambda users: user_vectors[users] @ item_vectors.T


def rank_metrics(
    scores: Scores,
    relevant: UserItems,
    candidates: Indices,
    masked: UserItems | None = None,
    ks: Sequence[int] = (100,),
) -> RankMetrics:
    """recall@k and ndcg@k of each user's relevant items in the order of their scores.

    Each user's ranking holds `candidates` (unique item indices) without the user's `masked`
    items (train positives, say). Relevant items that are no candidate or masked are left out;
    a user with none left is left out of the means, and both are counted. recall@k is hits over
    relevant items (not over min(k, relevant)), ndcg@k has gain 1 and discount 1 / log2(rank + 1).
    Raises ValueError for scores that are not finite.
    """
    users = np.flatnonzero(np.diff(relevant.starts)).astype(np.int64)
    recall = {k: [np.zeros(0)] for k in ks}
    ndcg = {k: [np.zeros(0)] for k in ks}
    pairs = 0
    for start in range(0, len(users), USERS_PER_CHUNK):
        chunk = users[start : start + USERS_PER_CHUNK]
        row, above, tied = _ranks(scores(chunk), chunk, relevant, candidates, masked)
        pairs += len(row)
        count = np.bincount(row, minlength=len(chunk))
        kept = count > 0
        for k in ks:
            hits = np.bincount(row, hit_at_k(above, tied, k), len(chunk))
            gains = np.bincount(row, gain_at_k(above, tied, k), len(chunk))
            recall[k].append(hits[kept] / count[kept])
            ndcg[k].append(gains[kept] / _discounts(k)[np.minimum(count[kept], k)])
    left = sum(len(values) for values in recall[ks[0]])
    return RankMetrics(
        recall={k: _mean(recall[k]) for k in ks},
        ndcg={k: _mean(ndcg[k]) for k in ks},
        users=left,
        users_left_out=len(users) - left,
        pairs=pairs,
        pairs_left_out=len(relevant.items) - pairs,
    )


def hit_at_k(above: Indices, tied: Indices, k: int) -> Floats:
    """Chance of a place in the first k, with `above` items before it and `tied` sharing its score.

    `tied` counts the item itself; so an item alone at its score is hit iff above < k.
    """
    chance: Floats = np.clip((k - above) / tied, 0.0, 1.0)
    return chance


def gain_at_k(above: Indices, tied: Indices, k: int) -> Floats:
    """Mean of 1 / log2(rank + 1), 0 beyond rank k, over the ranks above + 1 .. above + tied."""
    sums = _discounts(k)
    gain: Floats = (sums[np.minimum(above + tied, k)] - sums[np.minimum(above, k)]) / tied
    return gain


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
    if not both.any():
        return Gauc(float("nan"), 0, 0)
    value = np.average(won[both] / pairs[both], weights=rows[both])
    return Gauc(float(value), int(both.sum()), int(rows[both].sum()))


def _ranks(
    scores: NDArray[np.float32],
    users: Indices,
    relevant: UserItems,
    candidates: Indices,
    masked: UserItems | None,
) -> tuple[Indices, Indices, Indices]:
    """For each relevant pair: row of its user, items scored above it, items at its score."""
    column = np.full(scores.shape[1], -1)
    column[candidates] = np.arange(len(candidates))
    ranked = scores[:, candidates]  # [users, candidates], a copy
    if not np.isfinite(ranked).all():
        raise ValueError("scores: got nan or infinity, expected finite numbers")
    if masked is not None:
        row, item = masked.pairs(users)
        there = column[item] >= 0
        ranked[row[there], column[item[there]]] = -np.inf
    row, item = relevant.pairs(users)
    at = column[item]
    row, at = row[at >= 0], at[at >= 0]
    kept = np.isfinite(ranked[row, at])
    row, at = row[kept], at[kept]
    above, tied = np.empty_like(row), np.empty_like(row)
    step = max(1, CELLS_PER_BLOCK // max(1, len(candidates)))
    for start in range(0, len(row), step):
        block = slice(start, start + step)
        others, own = ranked[row[block]], ranked[row[block], at[block], None]
        above[block] = np.count_nonzero(others > own, axis=1)
        tied[block] = np.count_nonzero(others == own, axis=1)
    return row, above, tied


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


def _discounts(k: int) -> Floats:
    """Sum 1 / log2(rank + 1) over the first 0, 1, .. k ranks: [k + 1]."""
    return np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])


def _mean(parts: list[Floats]) -> float:
    values = np.concatenate(parts)
    return float(values.mean()) if len(values) else float("nan")
