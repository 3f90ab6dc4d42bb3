"""What a search found, and how two lists of it become one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.index.top import Scores


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Items with their scores, best first; `exhausted` says that there are fewer than asked for.

    Scores stay float32 up to the wire, where each is the shortest text that reads back as it: the
    digits that a double would add mean nothing.
    """

    items: list[str]
    scores: Scores
    exhausted: bool


def merge(ids: Sequence[str], scores: Scores, k: int) -> Found:
    """Return the k best of ids and their scores [n], in any order, best first, equal ones by id."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    if bool((ranked[1:] == ranked[:-1]).any()):
        order = np.array(sorted(range(len(ids)), key=lambda at: (-scores[at], ids[at])))
    order = order[:k]
    return Found([ids[at] for at in order.tolist()], scores[order], len(order) < k)
