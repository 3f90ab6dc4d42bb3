"""Batches of positives: both sides' arrays, and the candidates each row is held against."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from export.contract.schema import Arrays
from training.config import TrainConfig
from training.dropout import States, draw_states, hide_columns
from training.metrics import UserItems
from training.rows import SideRows

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """B positives as tensors, and the facts of their items."""

    rows: Indices  # [B] positions among the training rows
    user: dict[str, Tensor]
    item: dict[str, Tensor]
    same_item: Tensor  # bool[B, B]
    known_positive: Tensor  # bool[B, B]
    log_q: Tensor  # float[B]
    weight: Tensor  # float[B]
    states: States


@dataclass(frozen=True)
class Batches:
    """Cuts the training rows into batches; an epoch's are the same whenever it is run."""

    config: TrainConfig
    users: SideRows
    items: SideRows
    weight: NDArray[np.float32]
    positives: UserItems
    log_q: NDArray[np.float64]  # [items of the catalogue]

    def __len__(self) -> int:
        return -(-len(self.users) // self.config.training.batch)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Give every row once, in an order drawn from the seed and the epoch's number."""
        rng = np.random.default_rng([self.config.training.seed, number])
        order = rng.permutation(len(self.users))
        for start in range(0, len(order), self.config.training.batch):
            yield self._batch(order[start : start + self.config.training.batch], rng)

    def _batch(self, rows: Indices, rng: np.random.Generator) -> Batch:
        dropout = self.config.dropout
        user, item = self.users.batch(rows), self.items.batch(rows)
        hide_columns(user, self.users.side, dropout.column, rng)
        hide_columns(item, self.items.side, dropout.column, rng)
        states = draw_states(
            self.users.present[rows], self.items.present[rows], dropout.user, dropout.item, rng
        )
        for arrays, shown in ((user, states.user), (item, states.item)):
            if "present" in arrays:
                arrays["present"] = shown[:, None]
        items = self.items.entity[rows].astype(np.int64)
        same = items[:, None] == items[None]
        return Batch(
            rows=rows,
            user=tensors(user),
            item=tensors(item),
            same_item=torch.from_numpy(same),
            known_positive=torch.from_numpy(self._known(rows, items) & ~same),
            log_q=torch.from_numpy(self.log_q[items].astype(np.float32)),
            weight=torch.from_numpy(self.weight[rows]),
            states=states,
        )

    def _known(self, rows: Indices, items: Indices) -> NDArray[np.bool_]:
        """Say which columns hold an item that the row's user clicked in training: [B, B]."""
        distinct, column = np.unique(items, return_inverse=True)
        row, positive = self.positives.pairs(self.users.entity[rows].astype(np.int64))
        place = np.searchsorted(distinct, positive)
        place[place == len(distinct)] = 0
        inside = distinct[place] == positive
        known = np.zeros((len(rows), len(distinct)), dtype=bool)
        known[row[inside], place[inside]] = True
        return known[:, column]


def tensors(arrays: Arrays) -> dict[str, Tensor]:
    """Return the arrays as tensors; rows of tables become int64."""
    return {
        name: torch.from_numpy(array.astype(np.int64) if array.dtype.kind == "i" else array)
        for name, array in arrays.items()
    }
