"""Everything that is fixed before the first step: data, split, schema, batches, validation."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from export.contract.errors import ConfigError
from export.contract.schema import Schema, SideName
from training.batches import Batches, tensors
from training.config import TrainConfig
from training.data import Data, read_data
from training.fit import fit_schema
from training.metrics import UserItems, dot_scores
from training.model import SideTower, TwoTower
from training.rows import RowEncoder, SideRows
from training.slices import Slices
from training.split import TRAIN, VALIDATION, Split, make_split
from training.statistics import Log

SIDES: tuple[SideName, ...] = ("user", "item")
SELECT_K = 100


@dataclass(frozen=True)
class Prepared:
    """Everything that is fixed before the first step."""

    config: TrainConfig
    data: Data
    split: Split
    log: Log
    schema: Schema


def log_of(data: Data, split: Split, parts: tuple[int, ...]) -> Log:
    """Return the interactions with the rows of these parts as what statistics may read."""
    rows = data.interactions
    return Log(
        user=rows.user,
        item=rows.item,
        label=rows.label,
        is_train=np.isin(split.part, parts),
        time=rows.timestamp,
        order=rows.order,
        columns=rows.columns,
    )


def prepare(config: TrainConfig) -> Prepared:
    """Read the data, split it and fit the schema to its train rows."""
    data = read_data(config.data, config.user, config.item)
    split = make_split(config.split, data, config.data.folder)
    log = log_of(data, split, (TRAIN,))
    return Prepared(config, data, split, log, fit_schema(config, data, log))


def make_batches(prepared: Prepared, encoders: dict[SideName, RowEncoder]) -> Batches:
    """Encode the train rows that were clicked."""
    rows, config = prepared.data.interactions, prepared.config
    positives = np.flatnonzero((prepared.split.part == TRAIN) & (rows.label > 0))
    if not len(positives):
        raise ConfigError("no train row has label 1; nothing to learn from")
    clicks = np.bincount(rows.item[positives], minlength=len(prepared.data.items))
    return Batches(
        config=config,
        users=encoders["user"].rows(positives),
        items=encoders["item"].rows(positives),
        weight=rows.weight[positives],
        positives=UserItems.from_pairs(
            rows.user[positives], rows.item[positives], len(prepared.data.users)
        ),
        log_q=config.negatives[0].log_q(clicks / clicks.sum()),
    )


@torch.no_grad()
def vectors(tower: SideTower, rows: SideRows, chunk: int = 4096) -> NDArray[np.float32]:
    """Return float32[rows, dim] of every row, in evaluation mode."""
    tower.eval()
    starts = range(0, len(rows), chunk)
    parts = [np.arange(start, min(start + chunk, len(rows))) for start in starts]
    return np.concatenate([tower(tensors(rows.batch(part))).numpy() for part in parts])


def validator(
    prepared: Prepared, encoders: dict[SideName, RowEncoder]
) -> Callable[[TwoTower], dict[str, float]]:
    """Return a function that measures recall@100 on the validation slices."""
    slices = Slices.of(prepared.data, prepared.split, VALIDATION)
    entities = {side: encoders[side].entities() for side in SIDES}
    weights = prepared.config.training.select.model_dump()

    def validate(model: TwoTower) -> dict[str, float]:
        found = {side: vectors(model.side(side), entities[side]) for side in SIDES}
        measured = slices.measure(dot_scores(found["user"], found["item"]), (SELECT_K,))
        recall = {name: one.recall[SELECT_K] for name, one in measured.items()}
        usable = {name: w for name, w in weights.items() if name in recall}
        selected = sum(w * recall[name] for name, w in usable.items()) / sum(usable.values())
        return {**recall, "selected": selected}

    return validate
