"""Paired bootstrap over users: is a difference in recall more than the draw of users?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.metrics import Floats

RESAMPLES = 1000


@dataclass(frozen=True)
class Paired:
    """A difference of means over users, with its 95 % interval over resamples.

    `won` is the share of resamples in which the difference is above 0, an equal one counting
    half.
    """

    difference: float
    low: float
    high: float
    won: float
    users: int


def paired_bootstrap(
    ours: Floats,
    theirs: Sequence[Floats],
    *,
    weights: Floats | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Paired]:
    """Compare one scorer's figures of users [users] with others' of the very same users.

    Users are drawn with replacement, as many as there are, and each draw serves both sides: the
    percentile bootstrap (Efron, 1979; for retrieval: Sakai, SIGIR 2006). It speaks of other
    users of the same kind, not of other training runs. With `weights` [users] the means are
    weighted ones, and a resample's users bring theirs along. Raises ValueError for other numbers
    of users, or none.
    """
    differences = np.stack([ours - other for other in theirs], axis=1)  # [users, rivals]
    users = len(differences)
    if not users:
        raise ValueError("got no user; a bootstrap needs at least one")
    weights = np.ones(users) if weights is None else weights
    rng = np.random.default_rng(seed)
    drawn = np.empty((resamples, len(theirs)))
    for resample in range(resamples):
        times = weights * np.bincount(rng.integers(0, users, users), minlength=users)
        drawn[resample] = times @ differences / times.sum()
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    won = (drawn > 0).mean(0) + (drawn == 0).mean(0) / 2
    means = np.average(differences, axis=0, weights=weights)
    return [
        Paired(float(means[one]), float(low[one]), float(high[one]), float(won[one]), users)
        for one in range(len(theirs))
    ]
