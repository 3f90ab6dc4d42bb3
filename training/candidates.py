"""The candidates a batch is held against: what all kinds of negatives draw, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from training.negatives.base import Flags, Indices, Shown, Source

RAREST = 1e-6


@dataclass(frozen=True)
class Columns:
    """The C candidates of a batch of B rows; column i below B holds row i's own item."""

    rows: Indices  # [C], rows of `Shown`
    candidate: Flags  # [B, C]
    log_q: NDArray[np.float32]  # [B, C], or [1, C] where it is the same for every row


@dataclass(frozen=True)
class Candidates:
    """Draws from every source."""

    shown: Shown
    sources: Sequence[Source]

    def draw(self, rows: Indices, rng: np.random.Generator) -> Columns:
        """Draw for a batch of these rows of `shown`.

        q is the chance of a candidate under the mixture of all laws that rows share, each by its
        share of the draws (Yang et al., WWW 2020 companion, eq. 5), at least 1e-6. A candidate
        drawn for a row by a law of its own has that chance added, counted in the same draws.
        Where no law is shared, log q is 0.
        """
        drawn = [source.draw(rows, rng) for source in self.sources]
        columns = np.concatenate([rows, *(one.rows for one in drawn)])
        batch = reduce(np.logical_or, (one.batch for one in drawn))
        candidate = np.concatenate([batch, *(one.further for one in drawn)], axis=1)
        draws = sum(one.draws for one in drawn)
        if not draws:
            return Columns(columns, candidate, np.zeros((1, len(columns)), dtype=np.float32))
        laws = zip(drawn, self.sources, strict=True)
        expected = np.sum([one.draws * source.law for one, source in laws], axis=0)  # [items]
        shared = expected[self.shown.item[columns]] / draws  # [C], the same for every row
        log_q = _log(shared)[None]
        own = np.concatenate([one.chance for one in drawn], axis=1)  # [B, C - B]
        if own.any():
            log_q = np.repeat(log_q, len(rows), axis=0)
            log_q[:, len(rows) :] = _log(shared[len(rows) :] + own / draws)
        return Columns(columns, candidate, log_q)


def _log(q: NDArray[np.float64]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = np.log(np.maximum(q, RAREST)).astype(np.float32)
    return found
