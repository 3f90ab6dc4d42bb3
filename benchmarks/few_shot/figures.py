"""How well held-out items are found, by how many of their clicks were revealed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.few_shot.reveal import SHOTS
from training.auc import gauc
from training.data import Data
from training.metrics import Indices, UserItems, dot_scores, rank_metrics
from training.parts import TEST, Split

Figures = dict[str, dict[str, float]]  # number of clicks, or "others" -> figure -> value


@dataclass(frozen=True)
class Asked:
    """What has to be found, among which items, and what no list may hold."""

    targets: dict[str, UserItems]
    known: UserItems
    every: Indices
    new: dict[str, Indices]

    @classmethod
    def of(cls, data: Data, split: Split, shots: Mapping[str, int]) -> Self:
        """Ask for the test rows; rows set aside are known, revealed or not."""
        rows, users = data.interactions, len(data.users)
        revealed = np.array([shots.get(one, -1) for one in data.items.ids])
        tests = split.part == TEST

        def pairs(of: NDArray[np.bool_]) -> UserItems:
            return UserItems.from_pairs(rows.user[of], rows.item[of], users)

        of_row = revealed[rows.item]
        targets = {str(k): pairs(tests & (of_row == k)) for k in SHOTS}
        targets["others"] = pairs(tests & (of_row < 0))
        new = {str(k): np.flatnonzero(revealed == k) for k in SHOTS}
        every = np.unique(rows.item).astype(np.int64)
        return cls(targets, pairs(~tests), every, new)

    def measure(self, users: Tensor, items: Tensor) -> Figures:
        """Return recall@100 among all items; of new ones also recall@5 among their own, and AUC.

        Their own are those of which as many clicks are revealed.

        AUC is the mean over items of how well their scores order users, by who clicks: no
        constant added to an item's scores changes it.
        """
        u, v = users.numpy(), items.numpy()
        scores = dot_scores(u, v)
        found: Figures = {}
        for name, targets in self.targets.items():
            found[name] = {"recall@100": self.recall(users, items, name)}
            if name in self.new:
                near = rank_metrics(scores, targets, self.new[name], self.known, (5,))
                found[name]["recall@5 of its own"] = near.recall[5]
                found[name]["auc"] = self._auc(u @ v[self.new[name]].T, name)
        return found

    def recall(self, users: Tensor, items: Tensor, name: str) -> float:
        """Return recall@100 of some of the targets among all items."""
        scores = dot_scores(users.numpy(), items.numpy())
        return rank_metrics(scores, self.targets[name], self.every, self.known, (100,)).recall[100]

    def _auc(self, scores: NDArray[np.float32], name: str) -> float:
        """Return the mean AUC over the items of one number of clicks, of users not known to."""
        column = {item: at for at, item in enumerate(self.new[name].tolist())}
        users = np.arange(len(scores))
        labels = np.zeros(scores.shape, dtype=np.int8)
        kept = np.ones(scores.shape, dtype=bool)
        for pairs, into, value in ((self.targets[name], labels, 1), (self.known, kept, 0)):
            user, item = pairs.pairs(users)
            for one, at in zip(user.tolist(), item.tolist(), strict=True):
                if at in column:
                    into[one, column[at]] = value
        item = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
        each = gauc(item[kept], scores[kept], labels[kept]).per_user
        return float(each.auc.mean())
