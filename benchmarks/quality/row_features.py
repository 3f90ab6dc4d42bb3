"""Rows as one matrix: what a scorer of rows that is no tower reads."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.contract.schema import Schema
from export.contract.sharing import table_of
from export.contract.side import Arrays, SideName
from training.config import TrainConfig
from training.data import Data
from training.fit import fit_schema
from training.metrics import Indices
from training.parts import Split
from training.prepare import SIDES, log_of
from training.rows import RowEncoder

CHUNK = 20_000
Matrix = NDArray[np.float32]
Place = tuple[SideName, str]


@dataclass(frozen=True)
class Column:
    """A column of the matrix: whether its numbers are codes, and what it is hidden with.

    `group` is `user` or `item` for what is made of that side's preference, `context`, or None.
    """

    name: str
    is_code: bool
    group: str | None


class RowFeatures:
    """Codes and numbers of both sides, and the share of a user's profile on an item's words.

    A row that is learned from is as it was when it happened; statistics read the rows of
    `parts` alone, and never the row itself.
    """

    def __init__(
        self, config: TrainConfig, data: Data, split: Split, parts: tuple[int, ...]
    ) -> None:
        log = log_of(data, split, parts)
        self.schema = fit_schema(config, data, log)
        self._encoders = {side: RowEncoder(self.schema, side, data, log) for side in SIDES}
        self._overlaps = list(_overlaps(self.schema))
        self.columns = [*self._own(), *self._between()]

    def of(self, rows: Indices) -> Matrix:
        """Return the features of some rows: float32[rows, columns]."""
        sides = {side: encoder.rows(rows) for side, encoder in self._encoders.items()}
        found = np.empty((len(rows), len(self.columns)), np.float32)
        for start in range(0, len(rows), CHUNK):
            at = np.arange(start, min(start + CHUNK, len(rows)))
            arrays = {side: sides[side].batch(at) for side in SIDES}
            found[at] = np.concatenate(list(self._blocks(arrays)), axis=1)
        return found

    def _blocks(self, arrays: dict[SideName, Arrays]) -> Iterator[Matrix]:
        for side in SIDES:
            for form in ("ids", "values"):
                if form in arrays[side]:
                    yield arrays[side][form].astype(np.float32)
            for name in self._bags(side):
                yield arrays[side][name][:, :1].astype(np.float32)
        for user, item, column in self._overlaps:
            words = arrays["item"][item] if column is None else arrays["item"]["ids"][:, [column]]
            yield overlap(arrays["user"][user], arrays["user"][f"{user}.weights"], words)

    def _own(self) -> Iterator[Column]:
        for side in SIDES:
            features = self.schema.side(side)
            for names, is_code in ((features.ids, True), (features.values, False)):
                for name in names:
                    yield Column(f"{side}.{name}", is_code, self._group(side, name))
            for name in self._bags(side):
                yield Column(f"first of {side}.{name}", True, None)

    def _between(self) -> Iterator[Column]:
        for user, item, _ in self._overlaps:
            yield Column(f"{user} in {item}", False, "user")

    def _bags(self, side: SideName) -> list[str]:
        """Return the bags of a side's content, of which the first word is a column."""
        features = self.schema.side(side)
        return [name for name in features.bags if name in features.content]

    def _group(self, side: SideName, name: str) -> str | None:
        features = self.schema.side(side)
        if name in features.preference:
            return side
        return "context" if name in features.context else None


def overlap(
    profile: NDArray[np.int64], weights: NDArray[np.float32], words: NDArray[np.int64]
) -> Matrix:
    """Return the share of a profile's weight on the words of the item: float32[rows, 1].

    Args:
        profile: [rows, a], the words' rows of their table.
        weights: [rows, a], 0 where there is no word.
        words: [rows, b], rows of the same table.
    """
    held = (profile[:, :, None] == words[:, None, :]).any(axis=2)
    total = weights.sum(axis=1)
    share = (weights * held).sum(axis=1) / np.where(total > 0, total, 1)
    found: Matrix = share[:, None].astype(np.float32)
    return found


def _overlaps(schema: Schema) -> Iterator[tuple[str, str, int | None]]:
    """Give a user's profile, the item's content on the same table, and its column if it is one."""
    for user in schema.user.preference:
        feature = schema.user.features[user]
        if f"{user}.weights" not in schema.user.encoded:
            continue
        for item in schema.item.content:
            other = schema.item.features[item]
            if other.statistic is None and table_of("item", item, other) == table_of(
                "user", user, feature
            ):
                ids = list(schema.item.ids)
                yield user, item, ids.index(item) if item in ids else None
