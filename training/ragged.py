"""Ragged: rows of different lengths in three flat arrays, and batches of them, padded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]
Integers = NDArray[np.integer]
Mask = NDArray[np.bool_]


class Padded(NamedTuple):
    """A batch of rows, each filled up to one width at its end."""

    ids: NDArray[np.int32]  # [batch, width], -1 where padded
    weights: NDArray[np.float32] | None  # [batch, width], 0 where padded
    mask: Mask  # [batch, width], true where there is an id


@dataclass(frozen=True, eq=False)
class Ragged:
    """Row i holds `values[indptr[i]:indptr[i + 1]]`; missing rows are empty, not the reverse."""

    indptr: Positions  # [n + 1]
    values: NDArray[np.int32]
    weights: NDArray[np.float32] | None  # as long as values
    missing: Mask  # [n]

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @classmethod
    def of(cls, lengths: Integers, values: Integers, missing: Mask | None = None) -> "Ragged":
        """Cut flat values into rows of these lengths."""
        known = np.zeros(len(lengths), bool) if missing is None else missing
        return cls(offsets(lengths), values.astype(np.int32, copy=False), None, known)

    @classmethod
    def concat(cls, parts: Sequence["Ragged"]) -> "Ragged":
        """Put rows under rows; all parts have weights, or none has."""
        weights = [part.weights for part in parts if part.weights is not None]
        return cls(
            offsets(np.concatenate([part.lengths for part in parts])),
            np.concatenate([part.values for part in parts]),
            np.concatenate(weights) if weights else None,
            np.concatenate([part.missing for part in parts]),
        )

    @property
    def lengths(self) -> Positions:
        """How many values each row holds."""
        return np.diff(self.indptr)

    def take(self, rows: Integers) -> "Ragged":
        """Return these rows, in this order; a row may come more than once."""
        lengths = self.lengths[rows]
        flat = spans(self.indptr[rows], lengths)
        weights = None if self.weights is None else self.weights[flat]
        return Ragged(offsets(lengths), self.values[flat], weights, self.missing[rows])

    def rows(
        self,
        rows: Integers,
        width: int | None = None,
        keep: Literal["first", "last"] = "last",
    ) -> Padded:
        """Gather a batch, padded at the end to `width`, by default its longest row.

        Longer rows keep their `last` values (the newest of a sequence) or their `first` (the
        heaviest of a profile).
        """
        lengths = self.lengths[rows]
        if width is None:
            width = int(lengths.max(initial=0))
        kept = np.minimum(lengths, width)
        start = self.indptr[rows] + (lengths - kept if keep == "last" else 0)
        mask = np.arange(width) < kept[:, None]  # [batch, width]
        flat = spans(start, kept)
        ids = np.full(mask.shape, -1, dtype=np.int32)
        ids[mask] = self.values[flat]
        if self.weights is None:
            return Padded(ids, None, mask)
        weights = np.zeros(mask.shape, dtype=np.float32)
        weights[mask] = self.weights[flat]
        return Padded(ids, weights, mask)


def offsets(lengths: Integers | Mask) -> Positions:
    """Return where rows of these lengths begin, and where the last one ends: [n + 1]."""
    indptr = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=indptr[1:])
    return indptr


def spans(start: Integers, lengths: Integers) -> Positions:
    """Return start, start + 1, ... of each span, one span after the other."""
    indptr = offsets(lengths)
    flat = np.repeat(start - indptr[:-1], lengths)
    flat += np.arange(indptr[-1])
    return flat
