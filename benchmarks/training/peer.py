"""torch-rechub's DSSM on the rows that our batches hold: the same columns, layers and batch size.

`its own` is its trainer as it comes, every other row of the batch as a negative. `plain softmax` is
its model and its loader with one cross entropy over all scores in place of its sampler: what
somebody writes who has measured it.
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Subset

from export.contract.schema import Schema
from export.contract.sharing import table_of
from export.contract.side import SIDES, SideName
from training.batches import Batches
from training.config import TrainConfig
from training.side_rows import SideRows

ITS_OWN, PLAIN = "its own", "plain softmax"
Peers = Mapping[str, Callable[[], float]]


def cpu_s(done: Callable[[], object]) -> float:
    """Return the CPU seconds that it takes, in this process."""
    began = time.process_time()
    done()
    return time.process_time() - began


def peers(config: TrainConfig, schema: Schema, batches: Batches, steps: int) -> Peers:
    """Return by name what trains on `steps` batches and gives rows a second.

    Raises:
        ImportError: torch-rechub is not installed.
    """
    os.environ["TQDM_DISABLE"] = "1"  # before it is imported: its trainer draws a bar
    from torch_rechub.models.matching import DSSM
    from torch_rechub.trainers import MatchTrainer
    from torch_rechub.utils.data import TorchDataset

    found: dict[SideName, list[Any]] = {}
    columns: dict[str, Any] = {}
    owners: dict[str, str] = {}
    for side, rows in zip(SIDES, (batches.users, batches.items), strict=True):
        found[side] = _features(config, schema, side, owners)
        columns |= _columns(side, rows, len(batches.users))
    size, tower = config.training.batch, config.towers[0]
    layers = {"dims": [*getattr(tower, "hidden", ()), tower.dim], "activation": "relu"}
    data = Subset(TorchDataset(columns, batches.weight), range(steps * size))

    def trained(epoch: Callable[[Any], Callable[[Any], Any]]) -> Callable[[], float]:
        def rows_per_s() -> float:
            torch.manual_seed(config.training.seed)
            model = DSSM(found["user"], found["item"], layers, dict(layers))
            run = epoch(model)
            loader = DataLoader(data, size, shuffle=True)  # without workers: no CPU goes unseen
            return steps * size / cpu_s(lambda: run(loader))

        return rows_per_s

    def its_own(model: Any) -> Callable[[Any], Any]:
        trained: Callable[[Any], Any] = MatchTrainer(model, in_batch_neg=True).train_one_epoch
        return trained

    return {ITS_OWN: trained(its_own), PLAIN: trained(_plain)}


def _plain(model: Any) -> Callable[[Any], None]:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def run(loader: Any) -> None:
        model.train()
        for inputs, _ in loader:
            scores: Tensor = model.user_tower(inputs) @ model.item_tower(inputs).T
            loss = functional.cross_entropy(scores / 0.1, torch.arange(len(scores)))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            loss.item()

    return run


def _features(
    config: TrainConfig, schema: Schema, side_name: SideName, owners: dict[str, str]
) -> list[Any]:
    """Return its features for the columns of a side; `owners` says who holds a shared table."""
    from torch_rechub.basic.features import DenseFeature, SequenceFeature, SparseFeature

    side, width = schema.side(side_name), config.embedding(side_name)
    found: list[Any] = [DenseFeature(_named(side_name, name)) for name in side.values]
    for kind, names in ((SparseFeature, side.ids), (SequenceFeature, side.bags)):
        for name in names:
            table = table_of(side_name, name, side.features[name])
            own = _named(side_name, name)
            owner = owners.setdefault(table, own)
            asked: dict[str, Any] = {"padding_idx": 0} if kind is SequenceFeature else {}
            shared = None if owner == own else owner
            found.append(kind(own, schema.rows(table), width, shared_with=shared, **asked))
    return found


def _named(side: SideName, name: str) -> str:
    return f"{side}_{name}"  # torch takes no dots


def _columns(side_name: SideName, rows: SideRows, count: int) -> dict[str, Any]:
    """Return what it takes, by name: every row's values in arrays, bags padded."""
    side, arrays = rows.side, rows.batch(np.arange(count))
    found: dict[str, Any] = {}
    for form, names in (("ids", side.ids), ("values", side.values)):
        for place, name in enumerate(names):
            found[_named(side_name, name)] = np.nan_to_num(arrays[form][:, place])
    return found | {_named(side_name, name): arrays[name] for name in side.bags}
