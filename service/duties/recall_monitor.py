"""The recall monitor: a share of the searches is repeated exactly, beside the requests."""

import asyncio
import logging
import math
import random
import time
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from export.embedder import Vectors
from export.index.tune import SAME_SCORE
from service.index.found import Found
from service.index.top import Scores
from service.index.view import Part, Searches
from service.observe import MONITORED, ONLINE_RECALL
from service.settings import Settings

logger = logging.getLogger(__name__)

WAITING_MOST = 4
"""Searches that wait to be repeated; what is drawn beyond is dropped. Each holds what it saw."""
WINDOW = 256
"""Samples that the gauge is the mean of."""
ROWS_AT_ONCE = 1 << 14
"""Rows compared at once, some 0.5 ms during which others may hold Python's lock."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One search that was made: what it saw, what it asked, and the scores that it found.

    No index is held, for one that somebody holds cannot grow (`Twins`).
    """

    version: str
    parts: Sequence[Part]
    tick: int
    query: Vectors
    k: int
    excluded: Collection[str]
    found: Scores

    def recall(self) -> float:
        """Return the share of the k truly nearest that was found; for a thread.

        Counted by score: of items that tie at the cut, any is as right as another.
        """
        truth = exact_scores(self.parts, self.tick, self.query, self.k, self.excluded)
        if not len(truth):
            return 1.0
        return min(1.0, np.count_nonzero(self.found >= truth[-1] - SAME_SCORE) / len(truth))


class RecallMonitor:
    """Draws searches as they are made, and tells how many of the truly nearest they found.

    share: of the searches, above 0, at most 1. most_per_s: how many are repeated at most, so that
    what this costs does not grow with the load.
    """

    def __init__(self, share: float, most_per_s: float) -> None:
        self._share = share
        self._pause_s = 1 / most_per_s
        self._random = random.Random()
        self._skip = self._gap()
        self._waiting: asyncio.Queue[Sample] = asyncio.Queue(WAITING_MOST)
        self._recalls: dict[str, deque[float]] = {}

    @classmethod
    def of(cls, settings: Settings) -> "RecallMonitor | None":
        """Return the monitor that settings ask for; None: they ask for none."""
        if not settings.monitor_share:
            return None
        return cls(settings.monitor_share, settings.monitor_per_s)

    def _gap(self) -> int:
        """Return how many searches to pass over so that each is drawn with the same chance."""
        if self._share >= 1:
            return 0
        return int(math.log(1 - self._random.random()) / math.log1p(-self._share))

    def note(self, version: str, asked: Searches, found: Sequence[Found]) -> None:
        """Look at a batch of searches that were made.

        Costs a comparison and a subtraction, unless one of them is drawn.
        """
        at = self._skip
        while at < len(found):
            view, query = asked.view, asked.queries[at].copy()
            seen = (version, view.parts(), view.tick)
            self._keep(Sample(*seen, query, asked.ks[at], asked.excluded[at], found[at].scores))
            at += 1 + self._gap()
        self._skip = at - len(found)

    def _keep(self, sample: Sample) -> None:
        try:
            self._waiting.put_nowait(sample)
        except asyncio.QueueFull:
            MONITORED.labels("dropped", sample.version).inc()

    async def run(self) -> NoReturn:
        """Repeat what was drawn, one search after the other."""
        while True:
            sample = await self._waiting.get()
            begun_s = time.monotonic()
            try:
                self._tell(sample.version, await asyncio.to_thread(sample.recall))
            except Exception:
                logger.exception("search not repeated")
            await asyncio.sleep(max(0.0, begun_s + self._pause_s - time.monotonic()))

    def _tell(self, version: str, recall: float) -> None:
        recalls = self._recalls.setdefault(version, deque(maxlen=WINDOW))
        recalls.append(recall)
        MONITORED.labels("measured", version).inc()
        ONLINE_RECALL.labels(version).set(sum(recalls) / len(recalls))


def exact_scores(
    parts: Sequence[Part], tick: int, query: Vectors, k: int, excluded: Collection[str]
) -> Scores:
    """Return the scores of the k nearest of what is in parts at a tick, best first, or fewer.

    Reads beside the writer: what is retired or appended later is of a later tick or row.
    """
    best, least = np.empty(0, np.float32), np.float32(-np.inf)
    for part in parts:
        gone = part.rows(excluded)
        for start in range(0, len(part.vectors), ROWS_AT_ONCE):
            scores = part.vectors[start : start + ROWS_AT_ONCE] @ query
            near = np.flatnonzero(scores > least)
            retired = part.retired[near + start]
            seen = (retired == 0) | (retired > tick)
            if len(gone):
                seen &= np.isin(near + start, gone, invert=True)
            best = np.concatenate([best, scores[near[seen]]])
            if len(best) >= k:
                best = np.partition(best, len(best) - k)[len(best) - k :]
                least = best[0]
    return np.sort(best)[::-1]
