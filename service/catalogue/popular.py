"""Popular items with fresh ones among them, for users of whom nothing is known."""

from collections.abc import Iterator
from itertools import chain, islice

FRESH_EVERY = 10
"""One place in so many is a fresh item's."""

Scored = tuple[str, float]


def interleave(usual: Iterator[Scored], fresh: Iterator[Scored], k: int) -> list[Scored]:
    """Return k items: from `usual`, but in places 10, 20, 30 ... from `fresh`.

    Where one has run out the other goes on; fewer than k where both have.
    """
    mixed: list[Scored] = []
    for place in range(1, k + 1):
        first, second = (fresh, usual) if place % FRESH_EVERY == 0 else (usual, fresh)
        one = next(chain(islice(first, 1), islice(second, 1)), None)
        if one is None:
            break
        mixed.append(one)
    return mixed
