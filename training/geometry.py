"""What the vectors of a run look like: scores of warm and cold items, and a map of the items."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.metrics import spread_over
from training.slices import FEW_SHOT

BINS = 60
USERS, ITEMS = 500, 2000  # at most so many are looked at, evenly spread
MATURITY = [one for one in FEW_SHOT if one.side == "item"]


def score_distributions(
    users: NDArray[np.float32], items: NDArray[np.float32], is_cold: NDArray[np.bool_]
) -> dict[str, Any]:
    """Return how the scores of users [users, dim] for warm and for cold items are spread.

    Returns:
        `edges` of equal bins, and for `warm` and `cold` (None where there are no such items)
        the `share` of the scores in each bin, their `mean` and `deviation`.
    """
    scores = users[spread_over(np.arange(len(users)), USERS)] @ items.T
    edges = np.linspace(scores.min(), np.nextafter(scores.max(), np.inf), BINS + 1)
    found: dict[str, Any] = {"edges": _rounded(edges)}
    for name, chosen in (("warm", ~is_cold), ("cold", is_cold)):
        some = scores[:, chosen]
        found[name] = None
        if some.size:
            share = np.histogram(some, edges)[0] / some.size
            found[name] = {
                "share": _rounded(share),
                "mean": float(some.mean()),
                "deviation": float(some.std()),
            }
    return found


def item_map(items: NDArray[np.float32], counts: NDArray[np.int64]) -> dict[str, Any]:
    """Return items [items, dim] in two dimensions, and how many rows each has had.

    The axes are the first two principal components of all items; the sign of each is such that
    its largest coordinate is above 0.

    Returns:
        `x` and `y` of a spread of items, `bucket`: the place of each in `labels`, `explained`:
        the share of the variance that the two axes hold.
    """
    centred = items - items.mean(0)
    values, axes = np.linalg.eigh(centred.T @ centred)  # ascending
    places = centred @ axes[:, ::-1][:, :2]
    places = places * np.sign(places[np.abs(places).argmax(0), [0, 1]])
    chosen = spread_over(np.arange(len(items)), ITEMS)
    bucket = np.argmax([one.holds(counts[chosen]) for one in MATURITY], axis=0)
    return {
        "x": _rounded(places[chosen, 0]),
        "y": _rounded(places[chosen, 1]),
        "bucket": bucket.tolist(),
        "labels": [one.label for one in MATURITY],
        "explained": float(values[-2:].sum() / max(values.sum(), 1e-12)),
    }


def _rounded(values: NDArray[Any]) -> list[float]:
    return [round(float(one), 5) for one in values]
