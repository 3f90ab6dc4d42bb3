"""How long answers took, in the swaps and outside of them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.rollout.notes import Noted
from benchmarks.rollout.publisher import Swap

AT = {"p50": 0.5, "p99": 0.99, "p999": 0.999}


def statuses(noted: Sequence[Noted]) -> dict[str, int]:
    """Return how many answers there were of each status; 0 stands for none."""
    return {str(status): n for status, n in sorted(Counter(one["status"] for one in noted).items())}


def latencies(noted: Sequence[Noted], swaps: Sequence[Swap]) -> dict[str, Any]:
    """Sum up the requests that were due in a swap, and those that were not (ms).

    `swapping` leaves out of `during` the time of commands that verify a bundle, which another
    machine may do. On a machine that others use too, what a swap costs is told by `by_swap`: each
    is held against the pause before it, and the median of that is given.
    """
    due = np.array([one["due"] for one in noted])
    took_ms = 1000 * np.array([one["took"] for one in noted])
    is_in, by_swap = np.zeros(len(due), bool), []
    is_verified = np.zeros(len(due), bool)
    since = -np.inf
    for swap in swaps:
        during = (due >= swap.began) & (due < swap.ended)
        pause = (due >= since) & (due < swap.began)
        if during.any() and pause.any():
            by_swap.append((_quantiles(took_ms[pause]), _quantiles(took_ms[during])))
        is_in |= during
        for began, ended in swap.commands:
            is_verified |= (due >= began) & (due < ended)
        since = swap.ended
    return {
        "outside": _summary(took_ms[~is_in]),
        "during": _summary(took_ms[is_in]),
        "swapping": _summary(took_ms[is_in & ~is_verified]),
        "by_swap": _compared(by_swap),
    }


def _compared(by_swap: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> dict[str, Any]:
    """Return the medians over the swaps of: during / before, and during - before (ms)."""
    if not by_swap:
        return {}
    before, during = (np.array(side) for side in zip(*by_swap, strict=True))
    ratios, bumps = np.median(during / before, axis=0), np.median(during - before, axis=0)
    return {
        "ratio": dict(zip(AT, ratios.round(2).tolist(), strict=True)),
        "bump_ms": dict(zip(AT, bumps.round(1).tolist(), strict=True)),
    }


def _quantiles(took_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.quantile(took_ms, list(AT.values()), method="higher")
    return found


def _summary(took_ms: NDArray[np.float64]) -> dict[str, Any]:
    if not len(took_ms):
        return {"requests": 0}
    quantiles = dict(zip(AT, _quantiles(took_ms).round(1).tolist(), strict=True))
    longest = round(float(took_ms.max()), 1)
    return {"requests": len(took_ms), "longest_ms": longest} | {
        f"{name}_ms": value for name, value in quantiles.items()
    }
