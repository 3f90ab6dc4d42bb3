"""The ground that scorers are compared on: one data set, one split, its test rows and slices."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from export.contract.errors import DataError
from export.contract.features import Category, Cross, Feature, Tags, Text
from export.contract.features.base import Made
from export.contract.schema import Schema
from export.contract.side import Record
from training.auc import Gauc, auc, gauc
from training.baselines import ItemWords
from training.config import TrainConfig
from training.data import Data, read_data
from training.figures import figure
from training.lists import ListMetrics, Lists
from training.metrics import Block, Indices, RankMetrics, Scores
from training.parts import TEST, TRAIN, VALIDATION, Flags, Split
from training.slices import FEW_SHOT, FINE, Slices, membership
from training.split import make_split

KS = (10, 100)
LIST_K = 100
Orders = dict[str, dict[str, float | None]]  # slice -> auc, gauc, users, rows


@dataclass(frozen=True)
class Measured:
    """What one scorer was found to do."""

    slices: dict[str, RankMetrics]
    lists: ListMetrics
    rows: Orders


@dataclass(frozen=True)
class Ground:
    """Data, split, and what of items has words; the same for every scorer that is compared."""

    config: TrainConfig
    data: Data
    split: Split
    columns: dict[str, list[list[str]]]

    @classmethod
    def of(cls, config: TrainConfig, schema: Schema) -> "Ground":
        """Read the data and split it.

        Raises:
            DataError: The data cannot be used, or the split leaves nothing to test.
        """
        data = read_data(config.data, config.user, config.item)
        split = make_split(config.split, data, config.data.folder)
        if not (split.part == TEST).any():
            raise DataError(f"nothing to evaluate: the split has no test row ({split.counts()})")
        return cls(config, data, split, content_columns(data, schema.item.content))

    def data_for(self, config: TrainConfig) -> Data:
        """Return the data as another configuration's features have it read."""
        own = self.config
        if (config.data, config.user, config.item) == (own.data, own.user, own.item):
            return self.data
        return read_data(config.data, config.user, config.item)

    @cached_property
    def slices(self) -> Slices:
        """The test slices, with the few-shot buckets and those of the curve."""
        return Slices.of(self.data, self.split, TEST, (*FEW_SHOT, *FINE))

    @cached_property
    def words(self) -> ItemWords | None:
        """The content of items as words, where there is any."""
        return ItemWords(self.columns) if self.columns else None

    @cached_property
    def tests(self) -> NDArray[np.int64]:
        """The test rows."""
        return self.split.rows(TEST)

    @cached_property
    def item_counts(self) -> NDArray[np.int64]:
        """Rows of each item before test, shown or clicked: [items]."""
        before = np.isin(self.split.part, (TRAIN, VALIDATION))
        return np.bincount(self.data.interactions.item[before], minlength=len(self.data.items))

    @property
    def users(self) -> Indices:
        """The users whose lists are looked at: those with a positive in `all`."""
        return np.flatnonzero(np.diff(self.slices.named("all").relevant.starts))

    def measure(self, scores: Scores, row_scores: NDArray[np.float32] | None = None) -> Measured:
        """Measure a scorer; `row_scores` are those of the test rows, if it scores them otherwise.

        Users are scored once, a block at a time.
        """
        whole = self.slices.named("all").search
        cold = self.split.cold_items[TEST]
        lists = Lists(whole, cold, self.words, LIST_K, self.users)
        slices = self.slices.measure(scores, KS, lists.add)
        if row_scores is None:
            row_scores = self.row_scores(scores)
        return Measured(slices, lists.figures(), self.orders(row_scores))

    def curve(self, scores: Scores) -> dict[str, RankMetrics]:
        """Measure a scorer on the buckets of the curve alone."""
        names = {one.name for one in FINE}
        fine = tuple(one for one in self.slices.slices if one.name in names)
        return Slices(fine, self.slices.masked).measure(scores, (LIST_K,))

    def row_scores(self, scores: Scores) -> NDArray[np.float32]:
        """Score the test rows, a chunk of users at a time."""
        rows = self.data.interactions
        user, item = rows.user[self.tests], rows.item[self.tests]
        found = np.empty(len(user), dtype=np.float32)
        distinct, place = np.unique(user, return_inverse=True)
        order = np.argsort(place, kind="stable")
        for start in range(0, len(distinct), 256):
            block: Block = scores(distinct[start : start + 256].astype(np.int64))
            first, last = np.searchsorted(place, (start, start + 256), sorter=order)
            mine = order[first:last]
            found[mine] = block[place[mine] - start, item[mine]]
        return found

    def orders(self, scores: NDArray[np.float32]) -> Orders:
        """Return AUC and GAUC of the exposed rows of each slice, from scores of the test rows."""
        label, grouped = self.data.interactions.label[self.tests], self.gaucs(scores)
        return {
            name: {
                "auc": figure(auc(scores[mask], label[mask])),
                "gauc": figure(grouped[name].value),
                "users": grouped[name].users,
                "rows": int(mask.sum()),
            }
            for name, mask in self._members.items()
        }

    def gaucs(self, scores: NDArray[np.float32]) -> dict[str, Gauc]:
        """Return GAUC of the exposed rows of each slice that has some, user by user."""
        rows = self.data.interactions
        user, label = rows.user[self.tests], rows.label[self.tests]
        return {
            name: gauc(user[mask], scores[mask], label[mask])
            for name, mask in self._members.items()
        }

    @cached_property
    def _members(self) -> dict[str, Flags]:
        """Which test rows are of each slice that has some: [test rows]."""
        found = membership(self.data, self.split, TEST, self.tests)
        return {name: mask for name, mask in found.items() if mask.any()}


def content_columns(data: Data, content: Mapping[str, Feature]) -> dict[str, list[list[str]]]:
    """Return the words of the item content that has words, each once: [items] each."""
    return {
        name: [list(dict.fromkeys(_words(content, name, one))) for one in data.items.records]
        for name, feature in content.items()
        if isinstance(feature, Category | Tags | Text | Cross)
    }


def _words(content: Mapping[str, Feature], name: str, item: Record) -> Iterable[str]:
    """Return the words of one feature of an item, or of what it is made of."""
    feature = content[name]
    if not isinstance(feature, Made):
        return feature.words(item.get(name))
    sources = [content[one] for one in feature.made_of]
    return feature.words(feature.make(sources, [item.get(one) for one in feature.made_of]))
