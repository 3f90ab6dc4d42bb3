"""Measures of recall and of ordering: arrays in, numbers out.

Equal scores are broken at random, and every figure is the mean over all those random orders,
worked out exactly: so a scorer that gives one score to everything measures as random does, by
whatever order the items are stored in, and no figure depends on a seed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]
Block = NDArray[np.float32]  # [users, items], higher is better
# User indices [users] -> scores of every item.
Scores = Callable[[Indices], Block]
# Told the users of a block and their scores.
Watcher = Callable[[Indices, Block], None]

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
        user, item = np.asarray(user), np.asarray(item)
        if len(user) and (min(user.min(), item.min()) < 0 or user.max() >= users):
            raise ValueError(f"got a user above {users - 1} or an index below 0")
        width = 1 + np.int64(item.max(initial=0))
        pairs = user.astype(np.int64)  # all in place: there may be many
        pairs *= width
        pairs += item
        pairs.sort()
        new = np.ones(len(pairs), dtype=bool)
        np.not_equal(pairs[1:], pairs[:-1], out=new[1:])
        pairs = pairs[new]
        starts = np.searchsorted(pairs, np.arange(users + 1) * width)
        pairs %= width
        return cls(starts, pairs)

    def of(self, user: int) -> Indices:
        """Item indices of one user, ascending."""
        return self.items[self.starts[user] : self.starts[user + 1]]

    def pairs(self, users: Indices) -> tuple[Indices, Indices]:
        """Positions in `users`, and item indices: one pair for each item of those users."""
        counts = self.starts[users + 1] - self.starts[users]
        row = np.repeat(np.arange(len(users)), counts)
        first = np.cumsum(counts) - counts
        return row, self.items[(self.starts[users] - first)[row] + np.arange(len(row))]


@dataclass(frozen=True, eq=False)
class Search:
    """What lists are drawn from: `candidates` (unique items) without the user's `masked` ones."""

    candidates: Indices
    masked: UserItems | None = None

    def scores(self, users: Indices, block: Block) -> Block:
        """Return the scores of the candidates, a copy, with -inf for those that are masked."""
        found: Block = block[:, self.candidates]
        if self.masked is not None:
            column = self.columns(block.shape[1])
            row, item = self.masked.pairs(users)
            there = column[item] >= 0
            found[row[there], column[item[there]]] = -np.inf
        return found

    def columns(self, items: int) -> Indices:
        """Return the place of every item among the candidates, -1 for none: [items]."""
        column = np.full(items, -1)
        column[self.candidates] = np.arange(len(self.candidates))
        return column


@dataclass(frozen=True)
class Ranked:
    """Relevant pairs that can be recalled and where each stands, by user; arrays are [pairs].

    `above` counts the candidates of a higher score, `tied` those of its score, itself included.
    """

    user: Indices
    item: Indices
    above: Indices
    tied: Indices

    def within(self, relevant: UserItems) -> "Ranked":
        """Return the pairs that are among some others."""
        width = 1 + max(self.item.max(initial=0), relevant.items.max(initial=0))
        every = np.arange(len(relevant.starts) - 1)
        user, item = relevant.pairs(every)
        kept = np.isin(self.user * width + self.item, user * width + item)
        return Ranked(self.user[kept], self.item[kept], self.above[kept], self.tied[kept])


@dataclass(frozen=True)
class PerUser:
    """The figures of single users; `users` [n] ascending, each figure by k and [n]."""

    users: Indices
    recall: dict[int, Floats]
    ndcg: dict[int, Floats]
    mrr: dict[int, Floats]


@dataclass(frozen=True)
class RankMetrics:
    """Means over users; `recall`, `ndcg` and `mrr` by k (nan when no user is left)."""

    recall: dict[int, float]
    ndcg: dict[int, float]
    mrr: dict[int, float]
    users: int  # in the means
    users_left_out: int  # had relevant items, none of which could be recalled
    pairs: int  # relevant (user, item) pairs in the means
    pairs_left_out: int  # relevant, but no candidate or masked
    per_user: PerUser = field(compare=False, repr=False)


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
    """Figures of each user's relevant items in the order of their scores: see `rank`, `measured`.

    Raises ValueError for scores that are not finite.
    """
    (ranked,) = rank(scores, [(Search(candidates, masked), relevant)])
    return measured(ranked, relevant, ks)


def rank(
    scores: Scores,
    asked: Sequence[tuple[Search, UserItems]],
    watch: Watcher = lambda users, block: None,
) -> list[Ranked]:
    """Find where relevant items stand in each search; every user is scored once for all of them.

    `watch` sees the scores of every user who has a relevant item. Memory is bounded by
    CELLS_PER_BLOCK scores, whatever the number of users. Raises ValueError for scores that are
    not finite.
    """
    has = [np.flatnonzero(np.diff(relevant.starts)) for _, relevant in asked]
    users = np.unique(np.concatenate(has)).astype(np.int64)
    widest = max(len(search.candidates) for search, _ in asked)
    step = max(1, min(USERS_PER_CHUNK, CELLS_PER_BLOCK // max(1, widest)))
    none = Ranked(*(np.zeros((4, 0), dtype=np.int64)))
    parts = [[none] for _ in asked]
    for start in range(0, len(users), step):
        chunk = users[start : start + step]
        block = scores(chunk)
        for found, (search, relevant) in zip(parts, asked, strict=True):
            found.append(_ranked(chunk, block, search, relevant))
        watch(chunk, block)
    return [_joined(found) for found in parts]


def measured(ranked: Ranked, relevant: UserItems, ks: Sequence[int]) -> RankMetrics:
    """Figures of ranked pairs, and how many of the relevant ones could not be recalled.

    recall@k is hits over relevant items (not over min(k, relevant)); ndcg@k has gain 1 and
    discount 1 / log2(rank + 1) (Jarvelin and Kekalainen, TOIS 2002); mrr@k is 1 / rank of the
    best relevant item, 0 beyond rank k (Voorhees, TREC-8). A user with no pair left is left out
    of the means.
    """
    users, row, count = np.unique(ranked.user, return_inverse=True, return_counts=True)
    above, tied = ranked.above, ranked.tied
    recall = {k: np.bincount(row, hit_at_k(above, tied, k), len(users)) / count for k in ks}
    gains = {k: np.bincount(row, gain_at_k(above, tied, k), len(users)) for k in ks}
    ndcg = {k: gains[k] / _discounts(k)[np.minimum(count, k)] for k in ks}
    mrr = {k: _reciprocal_rank(row, above, tied, k, len(users)) for k in ks}
    return RankMetrics(
        recall={k: _mean(recall[k]) for k in ks},
        ndcg={k: _mean(ndcg[k]) for k in ks},
        mrr={k: _mean(mrr[k]) for k in ks},
        users=len(users),
        users_left_out=int(np.count_nonzero(np.diff(relevant.starts))) - len(users),
        pairs=len(row),
        pairs_left_out=len(relevant.items) - len(row),
        per_user=PerUser(users, recall, ndcg, mrr),
    )


def spread_over(indices: Indices, wanted: int) -> Indices:
    """Choose at most so many, evenly spread from the first to the last."""
    if len(indices) <= wanted:
        return indices
    return indices[np.linspace(0, len(indices) - 1, wanted).astype(np.int64)]


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


def _ranked(users: Indices, block: Block, search: Search, relevant: UserItems) -> Ranked:
    """Rank the relevant pairs of a block of users."""
    found = search.scores(users, block)  # [users, candidates]
    if not np.isfinite(block[:, search.candidates]).all():
        raise ValueError("scores: got nan or infinity, expected finite numbers")
    row, item = relevant.pairs(users)
    at = search.columns(block.shape[1])[item]
    row, item, at = row[at >= 0], item[at >= 0], at[at >= 0]
    kept = np.isfinite(found[row, at])
    row, item, at = row[kept], item[kept], at[kept]
    own = found[row, at]
    found.sort(axis=1)
    lower, upper = np.empty_like(row), np.empty_like(row)
    ends = np.cumsum(np.bincount(row, minlength=len(users)))
    for scored, part in zip(found, map(slice, [0, *ends], ends), strict=True):
        lower[part] = scored.searchsorted(own[part], "left")
        upper[part] = scored.searchsorted(own[part], "right")
    return Ranked(users[row], item, len(search.candidates) - upper, upper - lower)


def _joined(parts: list[Ranked]) -> Ranked:
    return Ranked(
        user=np.concatenate([one.user for one in parts]),
        item=np.concatenate([one.item for one in parts]),
        above=np.concatenate([one.above for one in parts]),
        tied=np.concatenate([one.tied for one in parts]),
    )


def _reciprocal_rank(row: Indices, above: Indices, tied: Indices, k: int, users: int) -> Floats:
    """Mean of 1 / rank of each user's best item, 0 beyond k, over the orders of its ties: [users].

    The best `m` of a user's items share one score with `t` in all. The first of them stands
    r-th or later among these with the chance of r - 1 others before it:
    prod (t - m - j) / (t - j) over j < r - 1.
    """
    first = np.full(users, np.iinfo(np.int64).max)
    np.minimum.at(first, row, above)
    best = above == first[row]
    m = np.bincount(row[best], minlength=users)
    t = np.ones(users, dtype=np.int64)
    t[row[best]] = tied[best]
    later, found = np.ones(users), np.zeros(users)
    for r in range(1, k + 1):
        still = later * np.clip((t - m - r + 1) / np.maximum(t - r + 1, 1), 0, 1)
        rank = first + r
        found += np.where(rank <= k, (later - still) / rank, 0.0)
        later = still
    return found


def _discounts(k: int) -> Floats:
    """Sum 1 / log2(rank + 1) over the first 0, 1, .. k ranks: [k + 1]."""
    return np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")
