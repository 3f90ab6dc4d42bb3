"""LightGBM: gradient boosting of exposed rows, with preference and context masked at random."""

from collections.abc import Mapping

import lightgbm
import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.known import Fitted, Known
from benchmarks.quality.rivals.base import Plain, Selected
from benchmarks.quality.row_features import Column, Matrix, RowFeatures
from training.data import read_data
from training.metrics import Indices
from training.parts import BEFORE
from training.search import Values
from training.span import Searched, Span

GROUPS = ("user", "item", "context")
RATE = 0.05


class LightGBM(Plain):
    """Trees over the columns of `RowFeatures`, on every known row, label 1 or 0.

    `user`, `item` and `context` are the shares of the train rows in which what is known of the
    user's or item's past, or of the request, is hidden: so trees learn to do without.
    """

    name = "lightgbm"
    is_random = True

    def suits(self, known: Known) -> bool:
        """Suit a protocol that has features for it."""
        return known.rows is not None

    def space(self, known: Known) -> Mapping[str, Searched]:
        """Search the trees and what is hidden."""
        shares = dict.fromkeys(GROUPS, Span(0.0, 0.6, step=0.1))
        return {"leaves": Span(15, 127), "rounds": Span(50, 400), "least": Span(20, 500), **shares}

    def start(self, known: Known) -> Values:
        """Begin with a few hundred small trees, and a third hidden."""
        return {"leaves": 31, "rounds": 200, "least": 100, "user": 0.3, "item": 0.3, "context": 0.3}

    def fit(self, known: Known, options: Values, seed: int, selected: Selected) -> Fitted:
        """Boost."""
        features, matrix = known.keep("rows", lambda: _learned(known))
        hidden = masked(matrix, features.columns, options, np.random.default_rng(seed))
        codes = [at for at, column in enumerate(features.columns) if column.is_code]
        label = known.data.interactions.label[known.before]
        rows = lightgbm.Dataset(hidden, label, categorical_feature=codes, free_raw_data=True)
        told = {
            "objective": "binary",
            "learning_rate": RATE,
            "num_leaves": options["leaves"],
            "min_data_in_leaf": options["least"],
            "seed": seed,
            "deterministic": True,
            "verbosity": -1,
        }
        trees = lightgbm.train(told, rows, num_boost_round=options["rounds"])

        def scores(asked: Indices) -> NDArray[np.float32]:
            key = ("asked", asked.tobytes())
            found = trees.predict(known.keep(key, lambda: features.of(asked)))
            return np.asarray(found, dtype=np.float32)

        return Fitted(rows=scores)


def masked(
    matrix: Matrix, columns: list[Column], options: Values, rng: np.random.Generator
) -> Matrix:
    """Return a copy with groups hidden in shares of the rows: as missing, each drawn apart."""
    found = matrix.copy()
    for group in GROUPS:
        of_group = np.flatnonzero([column.group == group for column in columns])
        chosen = np.flatnonzero(rng.random(len(found)) < options[group])
        found[np.ix_(chosen, of_group)] = np.nan
    return found


def _learned(known: Known) -> tuple[RowFeatures, Matrix]:
    """Return the features, and those of the known rows; the rows are the same in both readings."""
    config = known.rows
    assert config is not None
    data = read_data(config.data, config.user, config.item)
    features = RowFeatures(config, data, known.split, BEFORE[known.part])
    return features, features.of(known.before)
