"""Exposed rows as a ranker learns from them: user, history and item, clicked or not."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from export.contract.features import Feature, SequenceFeature
from export.contract.ranker import without_history
from export.contract.side import Arrays
from training.batches import tensors
from training.dropout import DropoutConfig, Flags, draw_states, forget_words, hide_columns
from training.prepare import Encoders, Prepared
from training.ragged import Ragged
from training.side_rows import SideRows
from training.statistics import compute

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class RankerBatch:
    """B rows as tensors; the M distinct items of their histories stand once, pointed at."""

    user: dict[str, Tensor]  # [B, ...]
    item: dict[str, Tensor]  # [B, ...]
    met: dict[str, Tensor]  # [M, ...], M at least 1
    history: Tensor  # int64[B, H], places in `met`, 0 where padded
    known: Tensor  # bool[B, H], false where padded
    is_positive: Tensor  # bool[B]
    weight: Tensor  # float[B]


@dataclass(frozen=True, eq=False)
class RankerRows:
    """Rows of the log, encoded; `catalogue` holds every item, `history` positions in it."""

    users: SideRows
    items: SideRows
    catalogue: SideRows
    history: Ragged
    is_positive: Flags
    weight: NDArray[np.float32]
    most: int  # of a history, its newest

    def __len__(self) -> int:
        return len(self.history)

    @classmethod
    def of(
        cls, prepared: Prepared, encoders: Encoders, history: str, rows: Indices
    ) -> "RankerRows":
        """Encode rows of the log as they were when they happened."""
        schema, log = prepared.schema, prepared.log
        feature = schema.user.preference[history]
        assert feature.statistic is not None
        met = compute(feature.statistic, log, "user", rows)
        assert isinstance(met, Ragged)
        users = encoders["user"].rows(rows)
        moving = {name: one for name, one in users.moving.items() if name != history}
        interactions = prepared.data.interactions
        return cls(
            users=replace(users, side=without_history(schema, history).user, moving=moving),
            items=encoders["item"].rows(rows),
            catalogue=encoders["item"].entities(),
            history=met,
            is_positive=interactions.label[rows] > 0,
            weight=interactions.weight[rows],
            most=length_of(feature),
        )

    def batch(
        self,
        rows: Indices,
        dropout: DropoutConfig | None = None,
        rng: np.random.Generator | None = None,
        stale: float = 0.0,
    ) -> RankerBatch:
        """Return some rows; with `dropout`, as training sees them, else with all in sight."""
        user, item = self.users.batch(rows), self.items.batch(rows)
        met, history, known = self._histories(rows)
        shown = self.users.present[rows]
        if dropout is not None and rng is not None:
            shown = self._hide(user, item, rows, dropout, rng)
            known = without_newest(known, stale * rng.random(len(rows)))
            if "present" in met:
                met["present"] &= rng.random(met["present"].shape) >= dropout.column
        return RankerBatch(
            user=tensors(user),
            item=tensors(item),
            met=tensors(met),
            history=torch.from_numpy(history),
            known=torch.from_numpy(known & shown[:, None]),
            is_positive=torch.from_numpy(self.is_positive[rows]),
            weight=torch.from_numpy(self.weight[rows]),
        )

    def _histories(self, rows: Indices) -> tuple[Arrays, Indices, Flags]:
        """Return the distinct items of the rows' histories, their places, and which are known."""
        longest = int(self.history.lengths_of(rows).max(initial=0))
        padded = self.history.rows(rows, max(1, min(longest, self.most)))
        distinct, place = np.unique(padded.ids[padded.mask], return_inverse=True)
        history = np.zeros(padded.mask.shape, dtype=np.int64)
        history[padded.mask] = place
        met = distinct if len(distinct) else np.zeros(1, dtype=np.int64)
        return self.catalogue.batch(met), history, padded.mask

    def epoch(
        self, size: int, dropout: DropoutConfig, rng: np.random.Generator, stale: float = 0.0
    ) -> Iterator[RankerBatch]:
        """Give every row once, in an order drawn from `rng`, as training sees it."""
        order = rng.permutation(len(self))
        for start in range(0, len(order), size):
            yield self.batch(order[start : start + size], dropout, rng, stale)

    def _hide(
        self,
        user: Arrays,
        item: Arrays,
        rows: Indices,
        dropout: DropoutConfig,
        rng: np.random.Generator,
    ) -> Flags:
        """Hide what the config says, in place, as for the towers; say whose history stays."""
        hide_columns(user, self.users.side, dropout.column, rng)
        hide_columns(item, self.items.side, dropout.column, rng)
        forget_words(user, self.users.side, dropout.unknown, rng)
        forget_words(item, self.items.side, dropout.unknown, rng)
        shown_user, shown_item = self.users.present[rows].copy(), self.items.present[rows].copy()
        for label in (True, False):
            at = np.flatnonzero(self.is_positive[rows] == label)
            drawn = draw_states(shown_user[at], shown_item[at], dropout.user, dropout.item, rng)
            shown_user[at], shown_item[at] = drawn.user, drawn.item
        for arrays, side in ((user, shown_user), (item, shown_item)):
            if "present" in arrays:
                arrays["present"] = side[:, None]
        return shown_user & (rng.random(len(rows)) >= dropout.column)


def without_newest(known: Flags, share: NDArray[np.float64]) -> Flags:
    """Return which items of histories stay when this share [B] of each, its newest, is hidden."""
    lengths = known.sum(1)
    left = lengths - np.floor(lengths * share)
    stays: Flags = known & (known.cumsum(1) <= left[:, None])
    return stays


def length_of(feature: Feature) -> int:
    """Return how many items of a history count, the newest."""
    assert isinstance(feature, SequenceFeature)
    return feature.max_length
