"""What a search found, and how what several parts found becomes one answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import orjson

from service.index.ids import Ids
from service.index.top import Hits, Scores

Named = tuple[list[str], Scores]
"""Ids and their scores, in any order."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Items with their scores, best first; `exhausted` says that there are fewer than asked for.

    The ids stay the JSON text that goes on the wire: to make strings of them, and text of these
    again, would cost as much as half of a search. Scores stay float32 up to the wire, where each
    is the shortest text that reads back as it: the digits that a double would add mean nothing.
    """

    text: bytes
    """The ids as a JSON array."""
    scores: Scores
    exhausted: bool

    @classmethod
    def of(cls, items: Sequence[str], scores: Scores, *, exhausted: bool) -> Self:
        """Return what was found, by ids."""
        return cls(orjson.dumps(items), scores, exhausted)

    @property
    def items(self) -> list[str]:
        """The ids, read anew each time."""
        ids: list[str] = orjson.loads(self.text)
        return ids


def merge(ids: Sequence[str], scores: Scores, k: int) -> Found:
    """Return the k best of ids and their scores [n], in any order, best first, equal ones by id."""
    order = sorted(range(len(ids)), key=lambda at: (-scores[at], ids[at]))[:k]
    return Found.of([ids[at] for at in order], scores[order], exhausted=len(order) < k)


def merge_all(
    ids: Ids, hits: Sequence[Hits], others: Sequence[Named], ks: Sequence[int]
) -> list[Found]:
    """Return, for each query, the best of what an index and other parts found, equal ones by id.

    Args:
        ids: Those of the rows of the index.
        hits: At most k of its rows for each query, best first.
        others: What was found beside them; mostly nothing, or a few.
        ks: How many each query asks for.

    """
    texts, ends = ids.texts(np.concatenate([rows for rows, _ in hits]))
    bounds = [0, *ends.tolist()]
    tied = _tied(hits)
    found, first = [], 0
    for at, ((rows, scores), (names, beside), k) in enumerate(zip(hits, others, ks, strict=True)):
        mine = bounds[first : first + len(rows) + 1]
        first += len(rows)
        if tied[at]:
            both = np.concatenate([scores, beside])
            found.append(merge([*ids.take(rows), *names], both, k))
        elif names:
            found.append(_with_names(ids, texts, mine, (rows, scores), (names, beside), k))
        else:
            found.append(Found(_array(texts[mine[0] : mine[-1]]), scores, len(rows) < k))
    return found


def _with_names(
    ids: Ids, texts: bytes, bounds: list[int], hits: Hits, others: Named, k: int
) -> Found:
    """Put what was found beside the hits of one query in its place among them.

    Args:
        ids: Those of the rows of the index.
        texts: JSON strings, each with a comma after it.
        bounds: Where in `texts` each of the hits begins, and where the last one ends.
        hits: Rows of the index, best first, no two alike.
        others: What was found beside them, in any order.
        k: How many are asked for.

    """
    (rows, scores), (names, beside) = hits, others
    both = np.concatenate([scores, beside])
    order = np.argsort(-both, kind="stable")
    ranked = both[order]
    if (ranked[1:] == ranked[:-1]).any():
        return merge([*ids.take(rows), *names], both, k)
    order, ranked = order[:k], ranked[:k]
    late = np.flatnonzero(order >= len(rows))
    pieces, begun = [], 0
    for before, place in enumerate(late.tolist()):  # the hits in between stay as they are
        here = place - before
        name = names[order[place] - len(rows)]
        pieces += [texts[bounds[begun] : bounds[here]], orjson.dumps(name), b","]
        begun = here
    pieces.append(texts[bounds[begun] : bounds[len(order) - len(late)]])
    return Found(_array(b"".join(pieces)), ranked, len(order) < k)


def _array(texts: bytes) -> bytes:
    """Return a JSON array of what has a comma after each."""
    return b"[%b]" % texts[:-1]


def _tied(hits: Sequence[Hits]) -> list[bool]:
    """Say for each query whether two of its hits, which are best first, have the same score."""
    scores = np.concatenate([scores for _, scores in hits])
    if not (scores[1:] == scores[:-1]).any():
        return [False] * len(hits)
    return [bool((scores[1:] == scores[:-1]).any()) for _, scores in hits]
