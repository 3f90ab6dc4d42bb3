"""EASE: a linear item-item model in closed form (Steck, WWW 2019)."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix

from benchmarks.quality.known import Fitted, Known
from benchmarks.quality.rivals.base import Plain, Selected, popular_for_strangers
from training.metrics import Block
from training.search import Values
from training.span import Searched, Span


class Ease(Plain):
    """Cold items have weight 0 and tie; whoever clicked nothing is scored by popularity."""

    name = "ease"

    def space(self, known: Known) -> Mapping[str, Searched]:
        """Search the ridge."""
        return {"l2": Span(5.0, 5000.0)}

    def start(self, known: Known) -> Values:
        """Begin in the middle."""
        return {"l2": 200.0}

    def fit(self, known: Known, options: Values, seed: int, selected: Selected) -> Fitted:
        """Solve."""
        table = ease_scores(known.clicks, options["l2"])
        return Fitted(popular_for_strangers(lambda users: table[users], known))


def ease_scores(clicks: csr_matrix, l2: float) -> Block:
    """Return X B, float32[users, items], for clicks X and B = I - P / diag(P), diag(B) = 0.

    P = (X'X + l2 I)^-1 (eq. 8). With X B = X - X P / diag(P), only X P and diag(P) are needed;
    where users are fewer, X P = (XX' + l2 I)^-1 X and diag(P) = (1 - diag(X' X P)) / l2 spare the
    larger inverse.
    """
    users, items = clicks.shape
    whole = clicks.astype(np.float64)
    if users < items:
        product = (_inverse((whole @ whole.T).toarray(), l2) @ whole).astype(np.float32)
        diagonal = (1 - np.asarray(clicks.multiply(product).sum(axis=0)).ravel()) / l2
    else:
        inverse = _inverse((whole.T @ whole).toarray(), l2)
        product, diagonal = (whole @ inverse).astype(np.float32), np.diag(inverse)
    product /= -diagonal.astype(np.float32)
    user, item = clicks.nonzero()
    product[user, item] += 1
    scores: Block = product
    return scores


def _inverse(gram: NDArray[np.float64], l2: float) -> NDArray[np.float64]:
    gram[np.diag_indices_from(gram)] += l2
    inverse: NDArray[np.float64] = cho_solve(cho_factor(gram), np.eye(len(gram)))
    return inverse
