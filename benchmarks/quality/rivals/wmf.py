"""WMF: weighted matrix factorisation, tuned."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.known import Fitted, Known
from benchmarks.quality.rivals.base import Plain, Selected, popular_for_strangers
from training.metrics import dot_scores
from training.search import Values
from training.span import Choice, Searched, Span
from training.wmf import WMFConfig

Vectors = NDArray[np.float32]


class WMF(Plain):
    """The product's own factors, of whoever is known; cold items tie, cold users get popularity."""

    name = "wmf"
    is_random = True

    def space(self, known: Known) -> Mapping[str, Searched]:
        """Search all options."""
        return {
            "size": Choice((50, 100, 200, 300)),
            "alpha": Span(0.5, 50.0),
            "regularization": Span(0.01, 30.0),
            "iterations": Span(5, 20),
        }

    def start(self, known: Known) -> Values:
        """Begin with what DropoutNet's authors used on CiteULike."""
        return {"size": 200, "alpha": 10.0, "regularization": 1.0, "iterations": 10}

    def fit(self, known: Known, options: Values, seed: int, selected: Selected) -> Fitted:
        """Factorise."""
        found = factors(known, options, seed)
        return Fitted(popular_for_strangers(dot_scores(found.users, found.items), known))


@dataclass(frozen=True)
class Factors:
    """Factors of everyone, zeros for whoever has no click; `warm` flags the items that have."""

    users: Vectors
    items: Vectors
    warm: NDArray[np.bool_]


def factors(known: Known, options: Values, seed: int) -> Factors:
    """Factorise the known clicks, once for the same options and seed."""

    def fit() -> Factors:
        users, items = WMFConfig(seed=seed, **options).fit(known.clicks)
        liking = np.diff(known.clicks.indptr) > 0
        liked = np.bincount(known.clicks.indices, minlength=len(items)) > 0
        return Factors(users * liking[:, None], items * liked[:, None], liked)

    return known.keep(("wmf", tuple(sorted(options.items())), seed), fit)
