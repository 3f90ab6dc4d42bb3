"""Ragged: rows of different lengths in three flat arrays, and batches of them, padded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]
Integers = NDArray[np.integer]
Mask = NDArray[np.bool_]


class Padded(NamedTuple):
    """A batch of rows, each filled up to one width at its end."""

    ids: NDArray[np.int32]  # [batch, width], `fill` where padded
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

    def lengths_of(self, rows: Integers) -> Positions:
        """How many values these rows hold: a batch does not pay for all."""
        found: Positions = self.indptr[rows + 1] - self.indptr[rows]
        return found

    def take(self, rows: Integers) -> "Ragged":
        """Return these rows, in this order; a row may come more than once."""
        lengths = self.lengths_of(rows)
        flat = spans(self.indptr[rows], lengths)
        weights = None if self.weights is None else self.weights[flat]
        return Ragged(offsets(lengths), self.values[flat], weights, self.missing[rows])

    def rows(
        self,
        rows: Integers,
        width: int | None = None,
        keep: Literal["first", "last"] = "last",
        fill: int = -1,
    ) -> Padded:
        """Gather a batch, padded at the end with `fill` to `width`, by default its longest row.

        Longer rows keep their `last` values (the newest of a sequence) or their `first` (the
        heaviest of a profile).
        """
        lengths = self.lengths_of(rows)
        if width is None:
            width = int(lengths.max(initial=0))
        kept = np.minimum(lengths, width)
        start = self.indptr[rows] + (lengths - kept if keep == "last" else 0)
        mask = np.arange(width) < kept[:, None]  # [batch, width]
        ids = _gathered(self.values, start, mask, fill)
        weights = None if self.weights is None else _gathered(self.weights, start, mask, 0)
        return Padded(ids, weights, mask)


def _gathered(values: NDArray[Any], start: Positions, mask: Mask, fill: int) -> NDArray[Any]:
    """Return what follows each start, `fill` outside of the mask."""
    if not len(values):
        return np.full(mask.shape, fill, dtype=values.dtype)
    found = values.take(start[:, None] + np.arange(mask.shape[1]), mode="clip")
    found[~mask] = fill
    return found


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
