"""Encoded features of many rows of one side, from which batches are cut."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.contract.features import MISSING_ROW, PADDING_ROW, SequenceFeature
from export.contract.side import Arrays, Side
from training.ragged import Ragged

Encoded = NDArray[Any] | Ragged  # one column: rows or values [n], vectors [n, size], or bags


@dataclass(frozen=True, eq=False)
class SideRows:
    """Rows of one side: what belongs to the entity is held once, what moves is held by row.

    `entity` [rows] points into `static`, whose columns [entities] hold every feature of the side;
    `place` [rows] points into `moving`, whose columns [rows], maps of files if they are of the
    log, replace features by values of the row itself: rows of one entity lie near each other.
    """

    side: Side
    entity: NDArray[np.int32]
    static: dict[str, Encoded]
    moving: dict[str, Encoded]
    place: NDArray[np.int64]  # [rows], each place once
    present: NDArray[np.bool_]  # [rows]

    def __len__(self) -> int:
        return len(self.entity)

    def batch(self, rows: NDArray[Any]) -> Arrays:
        """Return the arrays `Side.encoded` names for some rows."""
        entity = self.entity[rows]
        arrays: Arrays = {}
        for form, names in (("ids", self.side.ids), ("values", self.side.values)):
            columns = [self._column(name, rows, entity) for name in names]
            if columns:
                arrays[form] = np.stack([column[at] for column, at in columns], axis=1)
        for name in self.side.vectors:
            column, at = self._column(name, rows, entity)
            arrays[name] = column[at]
        for name in self.side.bags:
            arrays |= _padded(name, self.side, *self._column(name, rows, entity))
        if self.side.preference:
            arrays["present"] = self.present[rows, None]
        return {name: arrays[name] for name in self.side.encoded}

    def _column(
        self, name: str, rows: NDArray[Any], entity: NDArray[Any]
    ) -> tuple[Any, NDArray[Any]]:
        """Return the column that holds a feature, and the places in it of some rows."""
        if name in self.moving:
            return self.moving[name], self.place[rows]
        return self.static[name], entity


def _padded(name: str, side: Side, bag: Ragged, at: NDArray[Any]) -> Arrays:
    """Return one bag's rows [batch, length >= 1] and weights; missing has the missing row."""
    feature = side.features[name]
    longest = int(bag.lengths_of(at).max(initial=0))
    width = min(max(1, longest), getattr(feature, "max_length", longest))
    newest = isinstance(feature, SequenceFeature)
    padded = bag.rows(at, width, keep="last" if newest else "first", fill=PADDING_ROW)
    rows = padded.ids
    missing = bag.missing[at]
    rows[missing, 0] = MISSING_ROW
    arrays: Arrays = {name: rows}
    if f"{name}.weights" in side.encoded:
        weights = padded.mask.astype(np.float32) if padded.weights is None else padded.weights
        weights[missing, 0] = 1.0
        arrays[f"{name}.weights"] = weights
    return arrays


def taken(column: Encoded, at: NDArray[Any]) -> Encoded:
    """Return these places of a column."""
    return column.take(at) if isinstance(column, Ragged) else column[at]


def is_known(values: Encoded, side: Side, name: str) -> NDArray[np.bool_]:
    """Say which places of a feature's column are not missing."""
    if isinstance(values, Ragged):
        return ~values.missing
    unknown = np.equal(values, MISSING_ROW) if name in side.ids else np.isnan(values)
    return np.asarray(~unknown.reshape(len(unknown), -1).any(axis=1))
