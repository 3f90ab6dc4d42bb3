"""Untrained scorers that any model has to beat: random, popularity, content neighbours."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.metrics import Indices, Scores, UserItems


def random_scores(items: int) -> Scores:
    """Score everything alike: what is measured is the mean over all orders, so chance itself."""
    return lambda users: np.zeros((len(users), items), np.float32)


def popularity_counts(
    item: NDArray[Any],
    label: NDArray[Any],
    items: int,
    timestamp: NDArray[Any] | None = None,
    window_s: float | None = None,
) -> NDArray[np.float32]:
    """Positives of each item [items] over train rows, or over their last `window_s` seconds."""
    counted = label > 0
    if window_s is not None:
        if timestamp is None:
            raise ValueError("window_s: counting a last window needs the rows' timestamp")
        counted &= timestamp > timestamp.max(initial=-np.inf) - window_s
    return np.bincount(item[counted], minlength=items).astype(np.float32)


def popularity_scores(counts: NDArray[np.float32]) -> Scores:
    """Score every user's items by the same counts [items]."""
    return lambda users: np.broadcast_to(counts, (len(users), len(counts)))


def best_of(scorers: Mapping[str, Scores], measure: Callable[[Scores], float]) -> str:
    """Name of the scorer that measures highest on validation; the first of equals."""
    measured = {name: measure(scorer) for name, scorer in scorers.items()}
    return max(measured, key=lambda name: measured[name])


class ItemWords:
    """Sparse TF-IDF vectors of unit length over words `feature=value`, one per item.

    The weight of a word is ln(items / items that have it): one that all items have says
    nothing. A word of one item only is left out, for it makes no two items alike. An item of
    no words has the zero vector.
    """

    def __init__(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Read category and tags columns, each [items] of text, a list of texts or None."""
        item, words = _words(columns)
        self.items = len(next(iter(columns.values())))
        _, word, having = np.unique(words, return_inverse=True, return_counts=True)
        shared = having[word] > 1
        kept, word = np.unique(word[shared], return_inverse=True)
        self.words = len(kept)
        rows = UserItems.from_pairs(item[shared], word, self.items)
        self.rows = rows  # items take the place of users, words that of items
        self.item = np.repeat(np.arange(self.items), np.diff(rows.starts))  # [entries]
        weight = np.log(self.items / having[kept])[rows.items]
        length = np.sqrt(np.bincount(self.item, weight**2, self.items))
        self.weight = weight / np.where(length > 0, length, 1)[self.item]  # [entries]

    def sum(self, items: Indices) -> NDArray[np.float64]:
        """Sum [words] of the vectors of some items."""
        counts = self.rows.starts[items + 1] - self.rows.starts[items]
        first = np.cumsum(counts) - counts
        entries = np.repeat(self.rows.starts[items] - first, counts) + np.arange(counts.sum())
        total: NDArray[np.float64] = np.zeros(self.words)
        np.add.at(total, self.rows.items[entries], self.weight[entries])
        return total

    def mean(self, items: Indices) -> NDArray[np.float64]:
        """Mean vector [words] of some items (at least one)."""
        return self.sum(items) / len(items)

    def cosines(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Cosine [items] of every item with a vector [words] that is not zero."""
        products = np.bincount(self.item, self.weight * vector[self.rows.items], self.items)
        return products / np.linalg.norm(vector)


def content_neighbours(words: ItemWords, liked: UserItems, fallback: Scores) -> Scores:
    """Score by cosine to the mean content of the items a user liked in train.

    A user without liked items, or whose liked items have no words, is scored by `fallback`.
    """

    def scores(users: Indices) -> NDArray[np.float32]:
        rows = np.array(fallback(users), dtype=np.float32)
        for row, user in enumerate(users):
            items = liked.of(user)
            mean = words.mean(items) if len(items) else np.zeros(0)
            if mean.any():
                rows[row] = words.cosines(mean)
        return rows

    return scores


def _words(columns: Mapping[str, Sequence[Any]]) -> tuple[Indices, NDArray[np.str_]]:
    """Item index and word of every value, nulls left out."""
    items: list[int] = []
    words: list[str] = []
    for feature, values in columns.items():
        for item, value in enumerate(values):
            for word in [value] if value is None or isinstance(value, str) else value:
                if word is not None:
                    items.append(item)
                    words.append(f"{feature}={word}")
    return np.array(items, dtype=np.int64), np.array(words, dtype=np.str_)
