"""WMF + ridge: content mapped to item factors, so that a cold item has factors as well."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds

from benchmarks.quality.known import Fitted, Known
from benchmarks.quality.rivals.base import Plain, Selected, popular_for_strangers
from benchmarks.quality.rivals.content_neighbours import word_vectors
from benchmarks.quality.rivals.wmf import WMF, factors
from training.metrics import dot_scores
from training.search import Values
from training.span import Choice, Searched, Span

Floats = NDArray[np.float64]
RAW = "raw"
SIZES = (100, 200, 400)
STEPS, PRECISION = 200, 1e-4


class WMFRidge(Plain):
    """The tuned factors of whoever is known; of a cold item, what its TF-IDF vector maps to.

    `size` is that of the truncated SVD of the content, or `raw` for the words themselves.
    """

    name = "wmf_ridge"
    is_random = True
    needs: str | None = WMF.name

    def suits(self, known: Known) -> bool:
        """Suit items that have words."""
        return bool(known.words)

    def space(self, known: Known) -> Mapping[str, Searched]:
        """Search the ridge, and what of the content is mapped."""
        return {"l2": Span(0.03, 300.0), "size": Choice((RAW, *SIZES))}

    def start(self, known: Known) -> Values:
        """Begin with a ridge of 1 on the words."""
        return {"l2": 1.0, "size": RAW}

    def fit(self, known: Known, options: Values, seed: int, selected: Selected) -> Fitted:
        """Factorise, and map content to factors by the items that have some."""
        found = factors(known, selected(WMF.name), seed)
        words = known.keep("words", lambda: word_vectors(known.words, {}))
        targets = found.items[found.warm].astype(np.float64)
        if options["size"] == RAW:
            mapped = words @ sparse_ridge(words[found.warm], targets, options["l2"])
        else:
            dense = known.keep("svd", lambda: reduced(words))[:, : options["size"]]
            mapped = dense @ ridge(dense[found.warm], targets, options["l2"])
        items = np.where(found.warm[:, None], found.items, mapped).astype(np.float32)
        return Fitted(popular_for_strangers(dot_scores(found.users, items), known))


def ridge(inputs: Floats, targets: Floats, l2: float) -> Floats:
    """Return W = (X'X + l2 I)^-1 X'Y: float64[inputs, targets]."""
    gram = inputs.T @ inputs + l2 * np.eye(inputs.shape[1])
    found: Floats = solve(gram, inputs.T @ targets, assume_a="pos")
    return found


def sparse_ridge(inputs: csr_matrix, targets: Floats, l2: float) -> Floats:
    """Return the same W for sparse inputs, by conjugate gradients on all targets side by side."""
    transposed = inputs.T.tocsr()
    weights = np.zeros((inputs.shape[1], targets.shape[1]))
    residual = transposed @ targets
    direction, squared = residual.copy(), (residual**2).sum(axis=0)
    enough = PRECISION**2 * squared.max(initial=0)
    for _ in range(STEPS):
        if squared.max(initial=0) <= enough:
            break
        applied = transposed @ (inputs @ direction) + l2 * direction
        curvature = (direction * applied).sum(axis=0)
        step = squared / np.where(curvature > 0, curvature, 1)
        weights += step * direction
        residual -= step * applied
        before, squared = squared, (residual**2).sum(axis=0)
        direction = residual + squared / np.where(before > 0, before, 1) * direction
    return weights


def reduced(words: csr_matrix) -> Floats:
    """Return U S of the truncated SVD, the largest first: float64[items, size]."""
    size = min(max(SIZES), min(words.shape) - 1)
    left, values, _ = svds(words, k=size, random_state=0)
    order = np.argsort(-values)
    found: Floats = left[:, order] * values[order]
    return found
