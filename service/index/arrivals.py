"""Arrivals: ids and vectors in the order in which they came after the main index was built."""

from collections.abc import Iterable, Sequence, Set

import numpy as np

from export.embedder import Vectors
from service.index.top import Rows, Scores

FIRST_ROOM = 256

GONE = -1


class Arrivals:
    """Rows of id and vector that are only ever appended, and retired at a tick.

    Reading beside one writer is safe: a reader names the rows and the tick that it knows of, and
    what is appended or retired later does not change its answer. A tick is a number that the
    writer counts up with every change.
    """

    def __init__(self, dim: int, room: int = FIRST_ROOM) -> None:
        self.ids: list[str] = []
        self._vectors: Vectors = np.empty((room, dim), dtype=np.float32)
        self._retired: Rows = np.zeros(room, dtype=np.int64)
        # id -> its one live row; once here an id stays, so that a search beside the writer never
        # counts too few of those that it excludes.
        self._places: dict[str, int] = {}
        self.live = 0

    def __len__(self) -> int:
        """Rows, the retired ones too."""
        return len(self.ids)

    def append(self, one: str, vector: Vectors) -> int:
        """Add a row and return its number; readers see it once they are told of it."""
        row = len(self.ids)
        self.extend([one], vector[None])
        return row

    def extend(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add rows of ids and vectors [n, dim]; readers see them once they are told of them."""
        first, end = len(self.ids), len(self.ids) + len(ids)
        while end > len(self._vectors):
            self._grow()
        self._vectors[first:end] = vectors
        self.ids += ids
        self._places.update(zip(ids, range(first, end), strict=True))
        self.live += len(ids)

    def retire(self, row: int, tick: int) -> None:
        """Take a live row out of every search at this tick or later."""
        self._retired[row] = tick
        self._places[self.ids[row]] = GONE
        self.live -= 1

    def row(self, one: str) -> int | None:
        """Return the live row of an id, None if it has none; for the writer."""
        row = self._places.get(one, GONE)
        return None if row == GONE else row

    def live_rows(self, first: int = 0) -> Rows:
        """Return the rows from `first` on that are not retired, oldest first; for the writer."""
        return first + np.flatnonzero(self._retired[first : len(self)] == 0)

    def vectors(self, rows: int | slice | Rows) -> Vectors:
        """Return the vector of a row, or those [n, dim] of several."""
        vectors: Vectors = self._vectors[rows]
        return vectors

    def retired(self, rows: slice | Rows) -> Rows:
        """Return the tick at which each of these rows was retired, 0 for one that was not."""
        ticks: Rows = self._retired[rows]
        return ticks

    def widened(self, ks: Iterable[int], excluded: Iterable[Set[str]]) -> list[int]:
        """Return how many rows to find, so that `ks` are left when the excluded ids are dropped."""
        known = self._places.__contains__
        pairs = zip(ks, excluded, strict=True)
        return [k + sum(map(known, ids)) if ids else k for k, ids in pairs]

    def named(self, rows: Rows, scores: Scores, excluded: Set[str]) -> tuple[list[str], Scores]:
        """Return the ids and scores of rows that were found, less the excluded ids."""
        ids = [self.ids[row] for row in rows.tolist()]
        if not excluded or excluded.isdisjoint(ids):
            return ids, scores
        kept = [at for at, one in enumerate(ids) if one not in excluded]
        return [ids[at] for at in kept], scores[kept]

    def _grow(self) -> None:
        """Double the room, in new arrays: readers of the old ones are not disturbed.

        A retirement during a read falls into the new array only, and is of a later tick anyway.
        """
        self._vectors = np.concatenate([self._vectors, np.empty_like(self._vectors)])
        self._retired = np.concatenate([self._retired, np.zeros_like(self._retired)])
