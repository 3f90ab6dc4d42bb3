"""Mini-batch-aware regularisation: a row of a table decays when it is seen, by how rare it is."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from export.contract.features import PADDING_ROW
from export.contract.sharing import table_of
from export.contract.side import Side, SideName
from training.ragged import Ragged
from training.ranker.model import Ranker
from training.ranker.rows import RankerBatch, RankerRows
from training.side_rows import Encoded, SideRows

Counts = NDArray[Any]


def decay(table: Tensor, seen: Tensor, counts: Tensor, strength: float, rate: float) -> None:
    """Take w_j -= rate * strength / n_j * w_j of the rows that a batch holds, in place.

    The second term of equation 7 of Zhou et al., KDD 2018, beside the optimiser, whose scaling by
    past gradients would undo it.

    Args:
        table: float[rows, width].
        seen: int64[any], the rows that the batch holds, in any order and number.
        counts: float[rows], n_j: how often the train rows hold each of them.
        strength: lambda.
        rate: The learning rate.
    """
    rows = torch.unique(seen)
    rows = rows[rows != PADDING_ROW]
    with torch.no_grad():
        table[rows] -= rate * strength * table[rows] / counts[rows].clamp_min(1)[:, None]


class Regulariser:
    """Decays the tables of a ranker after each step."""

    def __init__(self, ranker: Ranker, rows: RankerRows, strength: float) -> None:
        self._ranker, self._strength = ranker, strength
        self._sides: list[tuple[SideName, Side]] = [
            ("user", rows.users.side),
            ("item", rows.items.side),
        ]
        self._counts = {
            name: torch.from_numpy(counts).float()
            for name, counts in occurrences(rows, self._sizes()).items()
        }

    def _sizes(self) -> dict[str, int]:
        tables = {table for side, of in self._sides for table, _ in _lookups(side, of)}
        return {table: len(self._ranker.table(table)) for table in tables}

    def apply(self, batch: RankerBatch, rate: float) -> None:
        """Decay what a batch holds."""
        for table, seen in self._seen(batch).items():
            weights = self._ranker.table(table)
            decay(weights, torch.cat(seen), self._counts[table], self._strength, rate)

    def _seen(self, batch: RankerBatch) -> Mapping[str, list[Tensor]]:
        found: dict[str, list[Tensor]] = {}
        user, item = self._sides
        for (name, side), arrays in ((user, batch.user), (item, batch.item), (item, batch.met)):
            for table, feature in _lookups(name, side):
                is_id = feature in side.ids
                rows = arrays["ids"][:, side.ids.index(feature)] if is_id else arrays[feature]
                found.setdefault(table, []).append(rows.flatten())
        return found


def occurrences(rows: RankerRows, sizes: Mapping[str, int]) -> dict[str, Counts]:
    """Return n_j of every row of every table: how often users, histories and items hold it.

    `sizes` are the rows of each table.
    """
    counts = {table: np.zeros(size) for table, size in sizes.items()}
    items = rows.catalogue
    met = np.bincount(rows.history.values, minlength=len(items)).astype(np.float64)
    parts: list[tuple[SideName, SideRows, Counts]] = [
        ("user", rows.users, np.ones(len(rows.users))),
        ("item", rows.items, np.ones(len(rows.items))),
        ("item", items, met),
    ]
    for name, part, times in parts:
        for table, feature in _lookups(name, part.side):
            if feature in part.moving:
                held = np.empty_like(times)
                held[part.place] = times
                counts[table] += _held(part.moving[feature], held, sizes[table])
            else:
                column = part.static[feature]
                of_entity = np.bincount(part.entity, weights=times, minlength=len(column))
                counts[table] += _held(column, of_entity, sizes[table])
    return counts


def _held(column: Encoded, times: Counts, size: int) -> Counts:
    """Return how often a column, whose places count so many times, holds each table row."""
    if isinstance(column, Ragged):
        return np.bincount(column.values, np.repeat(times, column.lengths), minlength=size)
    return np.bincount(column, times, minlength=size)


def _lookups(side_name: SideName, side: Side) -> Iterable[tuple[str, str]]:
    """Give the table and the feature of everything on a side that looks rows up."""
    for name in (*side.ids, *side.bags):
        yield table_of(side_name, name, side.features[name]), name
