"""How long answers took, in the swaps and outside of them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.rollout.notes import Noted
from benchmarks.rollout.publisher import Swap

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Quantiles before and during (ms), in the order of `AT`."""

AT = {"p50": 0.5, "p99": 0.99, "p999": 0.999}


def statuses(noted: Sequence[Noted]) -> dict[str, int]:
    """Return how many answers there were of each status; 0 stands for none."""
    return {str(status): n for status, n in sorted(Counter(one["status"] for one in noted).items())}


def latencies(noted: Sequence[Noted], swaps: Sequence[Swap]) -> dict[str, Any]:
    """Sum up the requests that were due in a rollout, and those that were not (ms).

    `swapping`, where a version is loaded and takes over, leaves out of `during` the time of
    commands that verify a bundle, which another machine may do. On a machine that others use too,
    what either costs is told by `by_rollout` and `by_swap`: each is held against the pause before
    the rollout, and the median of that is given.
    """
    due = np.array([one["due"] for one in noted])
    took_ms = 1000 * np.array([one["took"] for one in noted])
    is_in, is_verified = np.zeros(len(due), bool), np.zeros(len(due), bool)
    for swap in swaps:
        is_in |= (due >= swap.began) & (due < swap.ended)
        for began, ended in swap.commands:
            is_verified |= (due >= began) & (due < ended)
    by_rollout: list[Pair] = []
    by_swap: list[Pair] = []
    since = -np.inf
    for swap in swaps:
        before = took_ms[(due >= since) & (due < swap.began)]
        during = (due >= swap.began) & (due < swap.ended)
        for kept, of in ((by_rollout, during), (by_swap, during & ~is_verified)):
            if len(before) and of.any():
                kept.append((_quantiles(before), _quantiles(took_ms[of])))
        since = swap.ended
    return {
        "outside": summary(took_ms[~is_in]),
        "during": summary(took_ms[is_in]),
        "swapping": summary(took_ms[is_in & ~is_verified]),
        "by_rollout": _compared(by_rollout),
        "by_swap": _compared(by_swap),
    }


def _compared(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return the medians over pairs of quantiles of: during / before, and during - before (ms)."""
    if not pairs:
        return {}
    before, during = (np.array(side) for side in zip(*pairs, strict=True))
    ratios, bumps = np.median(during / before, axis=0), np.median(during - before, axis=0)
    return {
        "ratio": dict(zip(AT, ratios.round(2).tolist(), strict=True)),
        "bump_ms": dict(zip(AT, bumps.round(1).tolist(), strict=True)),
    }


def _quantiles(took_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.quantile(took_ms, list(AT.values()), method="higher")
    return found


def summary(took_ms: NDArray[np.float64]) -> dict[str, Any]:
    """Return how many requests there were, their quantiles, and the longest (ms)."""
    if not len(took_ms):
        return {"requests": 0}
    quantiles = dict(zip(AT, _quantiles(took_ms).round(1).tolist(), strict=True))
    longest = round(float(took_ms.max()), 1)
    return {"requests": len(took_ms), "longest_ms": longest} | {
        f"{name}_ms": value for name, value in quantiles.items()
    }
