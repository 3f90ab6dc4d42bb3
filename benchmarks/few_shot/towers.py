"""Trained towers that learn no more, taken apart where an item's id vector comes in."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.batches import tensors
from training.config import TrainConfig
from training.data import Data
from training.loop import retrain
from training.losses.in_batch_softmax import InBatchSoftmax
from training.model import SideTower
from training.prepare import log_of, make_batches, make_encoders, prepare, vectors
from training.run import Reporter, new_model
from training.side_rows import SideRows
from training.split import TRAIN, Split


@dataclass(frozen=True, eq=False)
class Towers:
    """What they make of users, of items but for their ids, and of the train clicks' users.

    `is_known` says which items have an event, so that their id has a vector in `ids`.
    """

    data: Data
    split: Split
    users: Tensor  # float[users, dim], as of the end of training
    content: Tensor  # float[items, wide]
    ids: Tensor  # float[items, dim]
    is_known: Tensor  # bool[items]
    click_user: Tensor  # float[clicks, dim], without the click itself in the history
    click_item: Tensor  # int64[clicks]
    temperature: float
    _item: nn.Module

    @classmethod
    def trained(cls, config: TrainConfig) -> Self:
        """Train on all train rows of a configuration whose items prefer by their id alone."""
        prepared = prepare(config)
        encoders = make_encoders(prepared)
        model = new_model(prepared, Reporter())
        retrain(config, model, make_batches(prepared, encoders), config.training.epochs)
        model.eval().requires_grad_(False)
        (loss,) = config.losses
        assert isinstance(loss, InBatchSoftmax)
        log = log_of(prepared.data, prepared.split, (TRAIN,))
        rows = np.flatnonzero(log.is_train)
        items = encoders["item"].entities()
        return cls(
            data=prepared.data,
            split=prepared.split,
            users=torch.from_numpy(vectors(model.user, encoders["user"].entities())),
            content=_group(model.item, items, "content"),
            ids=_group(model.item, items, "preference"),
            is_known=torch.from_numpy(items.present),
            click_user=torch.from_numpy(vectors(model.user, encoders["user"].rows(rows))),
            click_item=torch.from_numpy(log.item[rows].astype(np.int64)),
            temperature=loss.temperature,
            _item=model.item.tower,
        )

    def items(self, which: Tensor, ids: Tensor, present: Tensor) -> Tensor:
        """Return unit vectors [n, dim] of items with these id vectors, where `present`."""
        groups = {"content": self.content[which], "preference": ids}
        return functional.normalize(self._item(groups, present[:, None]), dim=1)

    def softmax_loss(self, clicks: Tensor, which: Tensor, found: Tensor) -> Tensor:
        """Return the loss of clicks on any of `which` items, whose vectors are `found`.

        It is the in-batch softmax without logQ over a batch of all clicks on them.
        """
        place = torch.full((len(self.content),), -1)
        place[which] = torch.arange(len(which))
        drawn = torch.bincount(self.click_item, minlength=len(self.content))[which].log()
        logits = self.click_user[clicks] @ found.T / self.temperature + drawn
        return functional.cross_entropy(logits, place[self.click_item[clicks]])


@torch.no_grad()
def _group(tower: SideTower, rows: SideRows, group: str) -> Tensor:
    """Return the wide vectors of one group of features of every entity."""
    parts = np.array_split(np.arange(len(rows)), max(1, len(rows) // 1024))
    return torch.cat([tower.inputs[group](tensors(rows.batch(part))) for part in parts])
