"""A column as it lies in a file: its known cells, and what can be counted about them."""

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

SAMPLE = 200_000  # rows that are looked at; more would say the same, later


@dataclass(frozen=True, eq=False)
class Column:
    """The cells of a column that hold something, text trimmed, in row order.

    `rows` counts all cells, empty ones too; `is_typed` says whether the file knows of types:
    Parquet does, CSV does not.
    """

    name: str
    cells: list[Any]
    rows: int
    is_typed: bool

    @cached_property
    def is_nested(self) -> bool:
        """Whether a cell holds a list or a mapping."""
        return any(isinstance(cell, list | dict) for cell in self.cells)

    @cached_property
    def is_text(self) -> bool:
        """Whether every cell is text."""
        return all(isinstance(cell, str) for cell in self.cells)

    @cached_property
    def counts(self) -> Counter[Any]:
        """How often each value stands; of plain columns only."""
        return Counter(self.cells)

    @property
    def single_share(self) -> float:
        """The share of cells whose value stands nowhere else."""
        return sum(count == 1 for count in self.counts.values()) / max(1, len(self.cells))

    @property
    def missing_share(self) -> float:
        """The share of cells that hold nothing."""
        return 1 - len(self.cells) / max(1, self.rows)

    @cached_property
    def numbers(self) -> NDArray[np.float64] | None:
        """The cells as numbers; None where one is no number, or a file of types calls it text."""
        if self.is_nested or (self.is_typed and any(isinstance(c, str) for c in self.cells)):
            return None
        try:
            found = np.array([float(cell) for cell in self.cells])
        except (TypeError, ValueError):
            return None
        return found if np.isfinite(found).all() else None


def columns_of(table: pa.Table, *, is_typed: bool) -> dict[str, Column]:
    """Return the columns of a table, or of a seeded sample of its rows if it has many."""
    if len(table) > SAMPLE:
        rng = np.random.default_rng(1)
        table = table.take(pa.array(np.sort(rng.choice(len(table), SAMPLE, replace=False))))
    return {
        name: Column(name, _known(table.column(name).to_pylist()), len(table), is_typed)
        for name in table.column_names
    }


def _known(cells: list[Any]) -> list[Any]:
    trimmed = (cell.strip() if isinstance(cell, str) else cell for cell in cells)
    return [cell for cell in trimmed if cell not in (None, "") and not _is_nan(cell)]


def _is_nan(cell: object) -> bool:
    return isinstance(cell, float) and math.isnan(cell)
