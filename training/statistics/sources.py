"""What statistics ask of the tables: words of items, given vectors, and concepts of entities."""

from threading import Lock
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from export.contract.features import Raw
from export.contract.side import Side, SideName
from export.contract.statistics import Statistic, Total
from training.data import Data
from training.ragged import Positions, Ragged
from training.statistics import Log, compute, in_parts
from training.statistics.concepts import Concepts
from training.statistics.numbers import Numbers
from training.statistics.words import ItemWords


class Asked(TypedDict):
    """What a statistic is computed from, beside the log."""

    words: ItemWords | None
    concepts: Concepts | None
    vectors: NDArray[np.float32] | None


class Sources:
    """Words and concepts by feature, each collected once."""

    def __init__(self, data: Data, items: Side) -> None:
        self._data, self._items = data, items
        self._words: dict[str, ItemWords] = {}
        self._concepts: dict[tuple[SideName, str], Concepts] = {}
        self._lock = Lock()

    def of(self, statistic: Statistic, side: SideName) -> Asked:
        """Return what a statistic of this side needs."""
        by = statistic.by if isinstance(statistic, Total) else None
        file = statistic.vectors_of
        return {
            "words": None if statistic.words_of is None else self.words(statistic.words_of),
            "concepts": None if by is None else self.concepts(side, by),
            "vectors": None if file is None else self._data.vectors[file],
        }

    def numbers(self, statistic: Statistic, log: Log, side: SideName, rows: Positions) -> Numbers:
        """Compute a statistic that is a number, NaN where missing, a part of the log at a time."""
        asked, found = self.of(statistic, side), np.full(len(rows), np.nan, dtype=np.float32)
        for part in in_parts(log, side, rows, asked["concepts"]):
            values = compute(statistic, part.log, side, part.rows, **asked)
            assert not isinstance(values, Ragged)
            found[part.at] = values
        return found

    def words(self, feature: str) -> ItemWords:
        """Return the words of an item feature."""
        with self._lock:
            if feature not in self._words:
                kind = self._items.features[feature]
                values = self._column("item", feature)
                self._words[feature] = ItemWords.of([kind.words(value) for value in values])
            return self._words[feature]

    def concepts(self, side: SideName, feature: str) -> Concepts:
        """Return which entities of a side have the same word in a category."""
        with self._lock:
            if (side, feature) not in self._concepts:
                self._concepts[side, feature] = Concepts.of(self._column(side, feature))
            return self._concepts[side, feature]

    def _column(self, side: SideName, feature: str) -> list[Any]:
        table = self._data.users if side == "user" else self._data.items
        values: list[Raw] = [record.get(feature) for record in table.records]
        return values
