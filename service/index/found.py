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
    starts = [0, *ends.tolist()]
    tied = _tied(hits)
    found, first = [], 0
    for at, ((rows, scores), (names, beside), k) in enumerate(zip(hits, others, ks, strict=True)):
        mine = starts[first : first + len(rows) + 1]
        first += len(rows)
        if names or tied[at]:
            both = np.concatenate([scores, beside])
            order = np.argsort(-both, kind="stable")
            ranked = both[order]
            if tied[at] or bool((ranked[1:] == ranked[:-1]).any()):
                found.append(merge([*ids.take(rows), *names], both, k))
                continue
            text = _spliced(texts, mine, names, order[:k].tolist())
            found.append(Found(text, ranked[:k], len(both) < k))
        else:
            text = b"[%b]" % texts[mine[0] : mine[-1] - 1]
            found.append(Found(text if len(rows) else b"[]", scores, len(rows) < k))
    return found


def _tied(hits: Sequence[Hits]) -> list[bool]:
    """Say for each query whether two of its hits have the same score."""
    scores = np.concatenate([scores for _, scores in hits])
    ends = np.cumsum([len(scores) for _, scores in hits])
    same = np.flatnonzero(scores[1:] == scores[:-1]) + 1  # each the second of two
    same = same[~np.isin(same, ends)]
    tied = [False] * len(hits)
    for at in np.searchsorted(ends, same, side="right").tolist():
        tied[at] = True
    return tied


def _spliced(texts: bytes, starts: list[int], names: list[str], order: list[int]) -> bytes:
    """Return ids as a JSON array: those of hits, cut from their texts, and names in between.

    Args:
        texts: JSON strings, each with a comma after it.
        starts: Where the text of each hit begins, and where the last one ends.
        names: Of what was found beside the hits.
        order: Places in hits and then names, best first. Hits stay in their order.

    """
    hits, pieces, begun, here = len(starts) - 1, [], 0, 0
    for place in order:
        if place < hits:
            here = place + 1
            continue
        pieces += [texts[starts[begun] : starts[here]], orjson.dumps(names[place - hits]), b","]
        begun = here
    pieces.append(texts[starts[begun] : starts[here]])
    return b"[%b]" % b"".join(pieces)[:-1]
