"""Batches of train rows: both sides' arrays, and the candidates each row is held against."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from export.contract.side import Arrays
from training.candidates import Candidates
from training.config import TrainConfig
from training.dropout import Flags, States, draw_states, forget_words, hide, hide_columns
from training.losses.base import Scored, SideVectors, Vectors
from training.metrics import UserItems
from training.ragged import spans
from training.side_rows import SideRows
from training.vectors import VectorFiles

Indices = NDArray[np.int64]
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Batch:
    """B rows as tensors, their C candidates, and the facts of both; item i < B is row i's own."""

    rows: Indices  # [B] positions among the rows learned from
    user: Tensors  # [B, ...]
    item: Tensors  # [C, ...]
    warm: tuple[Tensors, Tensors] | None  # the same of both with nothing hidden, if a loss asks
    users: Tensor  # int64[B] positions in the table of users
    items: Tensor  # int64[C] positions in the table of items
    is_positive: Tensor  # bool[B]
    weight: Tensor  # float[B]
    candidate: Tensor  # bool[B, C]
    same_item: Tensor  # bool[B, C]
    known_positive: Tensor  # bool[B, C]
    cold: Tensor  # bool[C]
    log_q: Tensor  # float[B, C]
    sessions: dict[str, Tensor]  # int64[B]
    categories: dict[str, Tensor]  # int64[C]
    given: dict[VectorFiles, Vectors]  # of the B users and C candidates
    states: States  # of the B rows

    def scored(self, user: SideVectors, item: SideVectors, warm: Vectors | None = None) -> Scored:
        """Return what losses are given, from what the towers made of B users and C items.

        `warm` is what they made of the same with nothing hidden.
        """
        return Scored(
            user_vectors=user.vectors,
            item_vectors=item.vectors,
            scores=user.vectors @ item.vectors.T,
            users=self.users,
            items=self.items,
            own=torch.arange(len(self.rows)),
            is_positive=self.is_positive,
            weight=self.weight,
            candidate=self.candidate,
            same_item=self.same_item,
            known_positive=self.known_positive,
            cold=self.cold,
            log_q=self.log_q,
            sessions=self.sessions,
            user_augmented=user.augmented,
            item_augmented=item.augmented,
            categories=self.categories,
            warm=warm,
            given=self.given,
        )


@dataclass(frozen=True)
class Batches:
    """Cuts the train rows into batches; an epoch's are the same whenever it is run.

    Rows are those learned from: clicked ones, and those shown and not clicked where a loss needs
    them. `items` holds further rows behind them, where negatives draw from such.
    """

    config: TrainConfig
    users: SideRows
    items: SideRows
    is_positive: Flags
    weight: NDArray[np.float32]
    positives: UserItems
    candidates: Candidates
    sessions: Mapping[str, Indices]  # column to [rows], equal where the session is
    given: Mapping[VectorFiles, Vectors]  # of all users and items

    def __len__(self) -> int:
        return -(-len(self.users) // self.config.training.batch)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Give every row once, in an order drawn from the seed and the epoch's number.

        The rows of a session stand together, so that only the border of a batch parts them.
        """
        rng = np.random.default_rng([self.config.training.seed, number])
        order = rng.permutation(len(self.users))
        for session in list(self.sessions.values())[:1]:
            place = rng.permutation(session.max() + 1)
            order = order[np.argsort(place[session[order]], kind="stable")]
        for start in range(0, len(order), self.config.training.batch):
            yield self._batch(order[start : start + self.config.training.batch], rng)

    def _batch(self, rows: Indices, rng: np.random.Generator) -> Batch:
        columns = self.candidates.draw(rows, rng)
        warm = None
        if any(one.needs_warm_view for one in self.config.losses):
            warm = tensors(self.users.batch(rows)), tensors(self.items.batch(columns.rows))
        user, item = self.users.batch(rows), self.items.batch(columns.rows)
        categories = self._categories(item)  # before anything is hidden
        states, shown_items = self._hide(user, item, rows, columns.rows, rng)
        users, items = self.users.entity[rows].astype(np.int64), self.items.entity[columns.rows]
        places = torch.from_numpy(users), torch.from_numpy(items.astype(np.int64))
        where, every = ItemColumns.of(items), np.arange(len(rows))
        return Batch(
            rows=rows,
            user=tensors(user),
            item=tensors(item),
            warm=warm,
            users=places[0],
            items=places[1],
            is_positive=torch.from_numpy(self.is_positive[rows]),
            weight=torch.from_numpy(self.weight[rows]),
            candidate=torch.from_numpy(columns.candidate),
            same_item=torch.from_numpy(where.held(len(rows), every, items[: len(rows)])),
            known_positive=torch.from_numpy(self._known(users, where)),
            cold=torch.from_numpy(~shown_items),
            log_q=torch.from_numpy(columns.log_q).expand(len(rows), -1),
            sessions={name: torch.from_numpy(one[rows]) for name, one in self.sessions.items()},
            categories=categories,
            given={files: whole.take(*places) for files, whole in self.given.items()},
            states=states,
        )

    def _hide(
        self, user: Arrays, item: Arrays, rows: Indices, columns: Indices, rng: np.random.Generator
    ) -> tuple[States, Flags]:
        """Hide what the config says, in place; the shares hold for each label, and for the rest.

        Returns the states of the rows, and which of the columns keep their preference in sight.
        """
        dropout = self.config.dropout
        hide_columns(user, self.users.side, dropout.column, rng)
        hide_columns(item, self.items.side, dropout.column, rng)
        forget_words(user, self.users.side, dropout.unknown, rng)
        forget_words(item, self.items.side, dropout.unknown, rng)
        shown = States(self.users.present[rows].copy(), self.items.present[columns].copy())
        for label in (True, False):
            at = np.flatnonzero(self.is_positive[rows] == label)
            drawn = draw_states(shown.user[at], shown.item[at], dropout.user, dropout.item, rng)
            shown.user[at], shown.item[at] = drawn.user, drawn.item
        shown.item[len(rows) :] = hide(shown.item[len(rows) :], dropout.item, rng)
        for arrays, side in ((user, shown.user), (item, shown.item)):
            if "present" in arrays:
                arrays["present"] = side[:, None]
        return States(shown.user, shown.item[: len(rows)]), shown.item

    def _categories(self, item: Arrays) -> dict[str, Tensor]:
        """Return the table rows of the words that losses read, [C] each."""
        asked = [name for one in self.config.losses for name in one.categories]
        column = {name: self.items.side.ids.index(name) for name in asked}
        ids = {name: item["ids"][:, at].astype(np.int64) for name, at in column.items()}
        return tensors(ids)

    def _known(self, users: Indices, columns: "ItemColumns") -> Flags:
        """Say which columns hold another item that the row's user clicked in training: [B, C]."""
        row, clicked = self.positives.pairs(users)
        others = clicked != columns.items[row]
        return columns.held(len(users), row[others], clicked[others])


@dataclass(frozen=True, eq=False)
class ItemColumns:
    """Which columns of a batch each item stands in."""

    items: NDArray[np.int32]  # [C]
    order: Indices  # [C] columns, by item
    start: Indices  # [d] where each distinct item begins in `order`
    count: Indices  # [d] how many columns hold it
    number: NDArray[np.int32]  # [items] 1 + which of the distinct ones an item is; 0: none

    @classmethod
    def of(cls, items: NDArray[np.int32]) -> "ItemColumns":
        """Look at the items of all columns, of which there is one at least."""
        order = np.argsort(items, kind="stable")
        distinct, start, count = np.unique(items[order], return_index=True, return_counts=True)
        number = np.zeros(1 + distinct[-1], dtype=np.int32)
        number[distinct] = np.arange(1, 1 + len(distinct))
        return cls(items, order, start, count, number)

    def held(self, rows: int, row: Indices, item: NDArray[np.integer]) -> Flags:
        """Say of each row which columns hold an item that is paired with it: [rows, C].

        Few do, so that they are found, and not each column compared.
        """
        near = item < len(self.number)
        row, at = row[near], self.number[item[near]] - 1
        row, at = row[at >= 0], at[at >= 0]
        width, count = len(self.items), self.count[at]
        held = np.zeros(rows * width, dtype=bool)
        held[np.repeat(row * width, count) + self.order[spans(self.start[at], count)]] = True
        return held.reshape(rows, width)


def tensors(arrays: Arrays) -> Tensors:
    """Return the arrays as tensors; rows of tables become int64."""
    return {
        name: torch.from_numpy(array.astype(np.int64) if array.dtype.kind == "i" else array)
        for name, array in arrays.items()
    }
