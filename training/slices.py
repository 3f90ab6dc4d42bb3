"""Recall by slice: warm, cold item, cold user, both, and all competing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data import Data
from training.metrics import Indices, RankMetrics, Scores, UserItems, rank_metrics
from training.split import TEST, TRAIN, VALIDATION, Split

SLICES = ("warm", "cold_item", "cold_user", "cold_both", "all")


@dataclass(frozen=True)
class Slice:
    """The positives of one slice, and what they are searched for among."""

    name: str
    relevant: UserItems
    candidates: Indices


@dataclass(frozen=True)
class Slices:
    """What one part of a split is measured on.

    Warm, cold-user and `all` positives are searched among all items that may be recalled then,
    cold-item and both-cold ones among the cold items. Items that a user clicked in training
    are masked, and no positives if clicked again. Validation searches without the items that
    only test may know.
    """

    slices: tuple[Slice, ...]
    masked: UserItems

    @classmethod
    def of(cls, data: Data, split: Split, part: int) -> "Slices":
        """Collect the slices of one part, VALIDATION or TEST."""
        rows = data.interactions
        clicked = rows.label > 0
        known = split.part == TRAIN
        if part != VALIDATION:
            known = known | (split.part == VALIDATION)
        pair = rows.user * np.int64(len(data.items)) + rows.item
        again = np.isin(pair, pair[clicked & known])
        positives = np.flatnonzero(clicked & (split.part == part) & ~again)
        cold_user = split.cold_users[part][rows.user[positives]]
        cold_item = split.cold_items[part][rows.item[positives]]
        everything = np.arange(len(data.items))
        if part == VALIDATION:
            everything = np.flatnonzero(~split.cold_items[TEST])
        cold = everything[split.cold_items[part][everything]]
        chosen = {
            "warm": (~cold_user & ~cold_item, everything),
            "cold_item": (~cold_user & cold_item, cold),
            "cold_user": (cold_user & ~cold_item, everything),
            "cold_both": (cold_user & cold_item, cold),
            "all": (np.ones(len(positives), dtype=bool), everything),
        }
        slices = tuple(
            Slice(name, _pairs(data, positives[mask]), candidates)
            for name, (mask, candidates) in chosen.items()
        )
        return cls(slices, _pairs(data, np.flatnonzero(clicked & known)))

    def measure(self, scores: Scores, ks: Sequence[int] = (100,)) -> dict[str, RankMetrics]:
        """Return recall and ndcg of every slice that has positives."""
        return {
            one.name: rank_metrics(scores, one.relevant, one.candidates, self.masked, ks)
            for one in self.slices
            if len(one.relevant.items)
        }


def _pairs(data: Data, rows: NDArray[np.int64]) -> UserItems:
    interactions = data.interactions
    return UserItems.from_pairs(interactions.user[rows], interactions.item[rows], len(data.users))
