"""Content neighbours: cosine of an item's words to the mean of what the user clicked."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.sparse import csr_matrix, diags, hstack

from benchmarks.quality.known import Fitted, Known
from benchmarks.quality.rivals.base import Plain, Selected, popular_for_strangers
from training.metrics import Block, Indices
from training.search import Values
from training.span import Searched, Span


class ContentNeighbours(Plain):
    """TF-IDF with its weight to a power, and columns of content that count more or less.

    With power 1 and columns alike it is the product's own baseline. A user whose items have no
    words is scored 0, whoever clicked nothing by popularity.
    """

    name = "content_neighbours"

    def suits(self, known: Known) -> bool:
        """Suit items that have words."""
        return bool(known.words)

    def space(self, known: Known) -> Mapping[str, Searched]:
        """Search the power, and the weight of each column beside the first."""
        others = list(known.words)[1:]
        return {"power": Span(0.25, 2.0), **{name: Span(0.1, 10.0) for name in others}}

    def start(self, known: Known) -> Values:
        """Begin with the product's own baseline."""
        return dict.fromkeys(self.space(known), 1.0)

    def fit(self, known: Known, options: Values, seed: int, selected: Selected) -> Fitted:
        """Sum up what each user clicked."""
        words = word_vectors(known.words, options).astype(np.float32)
        mean = _unit((known.clicks @ words).tocsr())

        def scores(users: Indices) -> Block:
            found: Block = (words @ mean[users].T.toarray()).T
            return found

        return Fitted(popular_for_strangers(scores, known))


def word_vectors(columns: Mapping[str, Sequence[Sequence[str]]], options: Values) -> csr_matrix:
    """Return TF-IDF vectors of unit length: float64[items, words].

    The weight of a word is ln(items / items that have it) to the `power`, times its column's own
    weight; one that a single item has is left out. Options that are not given are 1.
    """
    parts = [_of_column(one, options.get("power", 1.0)) for one in columns.values()]
    weights = [options.get(name, 1.0) for name in columns]
    return _unit(hstack([w * part for w, part in zip(weights, parts, strict=True)]).tocsr())


def _of_column(values: Sequence[Sequence[str]], power: float) -> csr_matrix:
    counts = [len(set(words)) for words in values]
    item = np.repeat(np.arange(len(values)), counts)
    flat = np.array([word for words in values for word in sorted(set(words))], dtype=np.str_)
    known, word = np.unique(flat, return_inverse=True)
    shape = len(values), len(known)
    matrix = csr_matrix((np.ones(len(word)), (item, word)), shape=shape).tocsc()
    having = np.diff(matrix.indptr)
    kept = np.flatnonzero(having > 1)
    idf = np.log(len(values) / having[kept]) ** power
    return (matrix[:, kept] @ diags(idf)).tocsr()


def _unit(rows: csr_matrix) -> csr_matrix:
    length = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    return (diags(1 / np.where(length > 0, length, 1)) @ rows).tocsr()
