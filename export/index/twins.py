"""A graph that grows while it is searched: it is kept twice, and the one not searched grows."""

import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np

from export.index.base import VectorError, Vectors
from export.index.hnsw import HnswConfig, HnswIndex

SLICE = 128
"""Vectors linked in at once: some 8 ms of one core (dim 64), after which others may be let in."""

Pause = Callable[[float], None]


@dataclass
class _Twin:
    """A graph and what was read of it last: as long as that lives, the graph may be searched."""

    index: HnswIndex
    reader: "weakref.ref[HnswIndex] | None" = None

    @property
    def is_searched(self) -> bool:
        return self.reader is not None and self.reader() is not None


class Twins:
    """Two graphs of the same vectors, one a step behind. So each vector is linked in twice.

    hnswlib must not be searched while vectors are added, and cannot copy a graph without holding
    Python's lock. Here the twin that is behind catches up, takes what is new, and is read in the
    place of the other. One thread grows; any number may search what was read before.

    ef: candidates kept during a search; what is read from now on is searched with it.
    """

    def __init__(self, settings: HnswConfig, dim: int, room: int) -> None:
        self.settings = settings
        self.dim = dim
        self.room = room
        self.ef = settings.ef
        self._ahead = _Twin(settings.empty(dim, room))
        self._behind: _Twin | None = _Twin(settings.empty(dim, room))
        self._lacking: Vectors = np.empty((0, dim), np.float32)  # what the one behind lacks

    def __len__(self) -> int:
        """Vectors in the graph that is ahead."""
        return len(self._ahead.index)

    @property
    def is_broken(self) -> bool:
        """Whether growing failed half way: what was read stays good, but nothing follows."""
        return self._behind is None

    @property
    def can_grow(self) -> bool:
        """Whether there is a twin behind and nobody searches it any more."""
        return self._behind is not None and not self._behind.is_searched

    def grow(self, vectors: Vectors, pause: Pause = lambda _: None) -> None:
        """Link more vectors [n, dim] in; labels go on.

        For a thread of its own: nearly all of it runs without Python's lock, on one core.

        Args:
            vectors: Unit vectors, which are kept until the next call and must not change.
            pause: Called after each slice with the seconds of CPU it took; what it raises ends the
                growth, and the twins are broken.

        Raises:
            VectorError: There is no room, or a vector is not finite and of unit length.

        """
        if len(self) + len(vectors) > self.room:
            raise VectorError(f"vectors: {len(vectors)} after {len(self)}, room for {self.room}")
        assert self.can_grow, "a graph that is searched, or broken, does not grow"
        behind, self._behind = cast(_Twin, self._behind), None
        grown = behind.index
        for part in (self._lacking, vectors):
            for start in range(0, len(part), SLICE):
                begun_s = time.thread_time()
                grown = grown.with_more(part[start : start + SLICE])
                pause(time.thread_time() - begun_s)
        self._behind, self._ahead, self._lacking = self._ahead, _Twin(grown), vectors

    def read(self) -> HnswIndex:
        """Return an index of all vectors; one that was read since the last growth is given up."""
        reader = self._ahead.index.with_ef(self.ef)
        self._ahead.reader = weakref.ref(reader)
        return reader
