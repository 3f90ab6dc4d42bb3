"""Recall by slice: warm, cold item, cold user, both, all competing, and by number of rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from export.contract.side import SideName
from training.data import Data
from training.metrics import (
    Indices,
    RankMetrics,
    Scores,
    Search,
    UserItems,
    Watcher,
    measured,
    rank,
)
from training.parts import BEFORE, TEST, VALIDATION, Split

SLICES = ("warm", "cold_item", "cold_user", "cold_both", "all")


@dataclass(frozen=True)
class Bucket:
    """The positives whose item (or user) has `low` to `high` rows before the part.

    Rows are interactions and exposures alike, label 1 or 0: what is known of an entity before
    the moment is what its statistics may read.
    """

    side: SideName
    low: int
    high: int | None = None

    @property
    def label(self) -> str:
        """The range in words: `0`, `1-5`, `>20`."""
        if self.high is None:
            return f">{self.low - 1}"
        return f"{self.low}" if self.low == self.high else f"{self.low}-{self.high}"

    @property
    def name(self) -> str:
        """The slice's name: `item 1-5`."""
        return f"{self.side} {self.label}"

    def holds(self, counts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say which counts are within."""
        return (counts >= self.low) & (counts <= (np.inf if self.high is None else self.high))


RANGES = ((0, 0), (1, 5), (6, 20), (21, None))
FEW_SHOT = (
    *(Bucket("item", low, high) for low, high in RANGES),
    *(Bucket("user", low, high) for low, high in RANGES),
)
FINE = (  # of the curve
    Bucket("item", 0, 0),
    *(Bucket("item", low + 1, high) for low, high in pairwise((0, 2, 5, 10, 20, 50, 100, 200))),
    Bucket("item", 201),
)


@dataclass(frozen=True)
class Slice:
    """The positives of one slice, and what they are searched for among."""

    name: str
    relevant: UserItems
    search: Search

    @property
    def candidates(self) -> Indices:
        """What the positives are searched for among."""
        return self.search.candidates


@dataclass(frozen=True)
class Slices:
    """What one part of a split is measured on.

    Warm, cold-user and `all` positives are searched among all items that may be recalled then,
    cold-item and both-cold ones among the cold items, those of a bucket as those of `all`. Items
    that a user clicked in training are masked, and no positives if clicked again. Validation
    searches without the items that only test may know. A split may name other candidates and
    masks for the test slices; then the mask alone says which positives do not count. It may also
    name the users that a test slice is measured on; a bucket is measured on those of `all`.
    """

    slices: tuple[Slice, ...]
    masked: UserItems

    @classmethod
    def of(cls, data: Data, split: Split, part: int, buckets: Sequence[Bucket] = ()) -> "Slices":
        """Collect the slices of one part, VALIDATION or TEST."""
        rows, clicked = data.interactions, data.interactions.label > 0
        before = np.isin(split.part, BEFORE[part])
        masked = _pairs(data, np.flatnonzero(clicked & before))
        positives = np.flatnonzero(clicked & (split.part == part))
        pair = rows.user * np.int64(len(data.items)) + rows.item
        again = np.isin(pair[positives], pair[clicked & before])
        masks = membership(data, split, part, positives)
        for one in buckets:
            known = rows.item if one.side == "item" else rows.user
            size = len(data.items if one.side == "item" else data.users)
            counts = np.bincount(known[before], minlength=size)
            masks[one.name] = masks["all"] & one.holds(counts[known[positives]])
        searches = _searches(data, split, part, masked)
        slices = []
        for name, mask in masks.items():
            search = searches.get(name, searches["all"])
            counted = mask & ~again if search.masked is masked else mask
            slices.append(Slice(name, _pairs(data, positives[counted]), search))
        return cls(tuple(slices), masked)

    def named(self, name: str) -> Slice:
        """Return one slice."""
        return next(one for one in self.slices if one.name == name)

    def measure(
        self,
        scores: Scores,
        ks: Sequence[int] = (100,),
        watch: Watcher = lambda users, block: None,
    ) -> dict[str, RankMetrics]:
        """Return the figures of every slice that has positives; users are scored once."""
        filled = [one for one in self.slices if len(one.relevant.items)]
        together: dict[Search, list[Slice]] = {}
        for one in filled:
            together.setdefault(one.search, []).append(one)
        asked = [(search, _union(found)) for search, found in together.items()]
        if not asked:
            return {}
        ranked = dict(zip(together, rank(scores, asked, watch), strict=True))
        return {
            one.name: measured(ranked[one.search].within(one.relevant), one.relevant, ks)
            for one in filled
        }


def membership(
    data: Data, split: Split, part: int, rows: NDArray[np.int64]
) -> dict[str, NDArray[np.bool_]]:
    """Say which of some rows belong to each of SLICES, and are of users it is measured on."""
    cold_user = split.cold_users[part][data.interactions.user[rows]]
    cold_item = split.cold_items[part][data.interactions.item[rows]]
    masks = {
        "warm": ~cold_user & ~cold_item,
        "cold_item": ~cold_user & cold_item,
        "cold_user": cold_user & ~cold_item,
        "cold_both": cold_user & cold_item,
        "all": np.ones(len(rows), dtype=bool),
    }
    if part == TEST:
        for name, users in split.users.items():
            masks[name] &= users[data.interactions.user[rows]]
    return masks


def _searches(data: Data, split: Split, part: int, masked: UserItems) -> dict[str, Search]:
    """Return what the positives of each of SLICES are searched for among."""
    everything = np.arange(len(data.items))
    if part == VALIDATION:
        everything = np.flatnonzero(~split.cold_items[TEST])
    whole = Search(everything, masked)
    cold = Search(everything[split.cold_items[part][everything]], masked)
    found = {name: cold if name in ("cold_item", "cold_both") else whole for name in SLICES}
    if part == TEST:
        for name in split.candidates.keys() | split.masks.keys():
            found[name] = Search(
                split.candidates.get(name, found[name].candidates),
                split.masks.get(name, masked),
            )
    return found


def _union(slices: Sequence[Slice]) -> UserItems:
    users = len(slices[0].relevant.starts) - 1
    pairs = [one.relevant.pairs(np.arange(users)) for one in slices]
    user, item = (np.concatenate(each) for each in zip(*pairs, strict=True))
    return UserItems.from_pairs(user, item, users)


def _pairs(data: Data, rows: NDArray[np.int64]) -> UserItems:
    interactions = data.interactions
    return UserItems.from_pairs(interactions.user[rows], interactions.item[rows], len(data.users))
