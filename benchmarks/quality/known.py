"""What is known when a part begins, and how a scorer is measured on that part."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from benchmarks.quality.case import Case
from training.auc import gauc
from training.baselines import popularity_counts
from training.config import TrainConfig
from training.data import Data, read_data
from training.ground import Ground, content_columns
from training.metrics import Indices, RankMetrics, Scores
from training.parts import BEFORE, VALIDATION, Split
from training.prepare import SELECT_K
from training.slices import Slices, membership
from training.split import make_split

T = TypeVar("T")
RowScores = Callable[[Indices], NDArray[np.float32]]


@dataclass(frozen=True)
class Fitted:
    """A scorer of users' items, of rows, or of both; without `rows`, `scores` orders them."""

    scores: Scores | None = None
    rows: RowScores | None = None


@dataclass(frozen=True)
class Known:
    """The data of a part as rivals may see it: the rows before the part, and content.

    `rows` is the configuration of a rival that scores rows, if there is one. `kept` holds what is
    dear to make and the same for many fits.
    """

    config: TrainConfig
    rows: TrainConfig | None
    data: Data
    split: Split
    part: int
    kept: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, case: Case, part: int) -> "Known":
        """Read the data folder of a part: that of VALIDATION has no row that tests."""
        config = case.config(part)
        data = read_data(config.data, config.user, config.item)
        split = make_split(config.split, data, config.data.folder)
        return cls(config, case.rows(part), data, split, part)

    def keep(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what was made under this key, or make it."""
        if key not in self.kept:
            self.kept[key] = make()
        found: T = self.kept[key]
        return found

    @cached_property
    def before(self) -> Indices:
        """The rows that are known."""
        return np.flatnonzero(np.isin(self.split.part, BEFORE[self.part]))

    @cached_property
    def clicks(self) -> csr_matrix:
        """The clicked pairs that are known, each 1: float32[users, items]."""
        rows = self.data.interactions
        clicked = self.before[rows.label[self.before] > 0]
        shape = len(self.data.users), len(self.data.items)
        ones = np.ones(len(clicked), np.float32)
        found = csr_matrix((ones, (rows.user[clicked], rows.item[clicked])), shape=shape)
        found.data[:] = 1  # a pair that was clicked twice
        return found

    @cached_property
    def words(self) -> dict[str, list[list[str]]]:
        """The words of the items' content, by column: [items] each."""
        return content_columns(self.data, self.config.item.content)

    def popularity(self, window_s: float | None = None) -> NDArray[np.float32]:
        """Return the clicks of each item [items], in all known rows or in the last of them."""
        rows, at = self.data.interactions, self.before
        time = None if rows.timestamp is None else rows.timestamp[at]
        size = len(self.data.items)
        return popularity_counts(rows.item[at], rows.label[at], size, time, window_s)

    def figure(self, fitted: Fitted) -> float:
        """Return what a search goes by: what selects an epoch of a model, on the same slices.

        A scorer of rows alone is worth the same mean of GAUC.
        """
        assert self.part == VALIDATION
        if fitted.scores is None:
            return self.config.training.select.figure(self._gauc(fitted))
        found = self.slices.measure(fitted.scores, (SELECT_K,))
        recall = {name: one.recall[SELECT_K] for name, one in found.items()}
        return self.config.training.select.figure(recall)

    def measure(self, scores: Scores, ks: tuple[int, ...]) -> dict[str, RankMetrics]:
        """Return the figures of each slice of the part."""
        return self.slices.measure(scores, ks)

    @cached_property
    def slices(self) -> Slices:
        """The slices of the part."""
        return Slices.of(self.data, self.split, self.part)

    @cached_property
    def ground(self) -> Ground:
        """The ground of the final figures."""
        return Ground(self.config, self.data, self.split, self.words)

    def _gauc(self, fitted: Fitted) -> dict[str, float]:
        assert fitted.rows is not None
        at, rows = self.split.rows(self.part), self.data.interactions
        scores = fitted.rows(at)
        found = {}
        for name, mask in membership(self.data, self.split, self.part, at).items():
            one = gauc(rows.user[at][mask], scores[mask], rows.label[at][mask])
            if one.users:
                found[name] = one.value
        return found
