"""Everything that is fixed before the first step: data, split, schema, batches, validation."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from export.contract.errors import ConfigError
from export.contract.schema import Schema
from export.contract.side import SideName
from training.batches import Batches, tensors
from training.candidates import Candidates
from training.config import TrainConfig
from training.data import Data, read_data
from training.files import check_files
from training.fit import fit_schema
from training.growing.parent import Parent
from training.losses.base import Vectors
from training.mapped import mapped
from training.metrics import UserItems, dot_scores
from training.model import SideTower, TwoTower
from training.negatives.base import Shown
from training.rows import RowEncoder
from training.sessions import session_codes
from training.side_rows import SideRows
from training.slices import Slices
from training.split import TRAIN, VALIDATION, Split, make_split
from training.statistics import Log
from training.vectors import VectorFiles
from training.weights import row_weights

SIDES: tuple[SideName, ...] = ("user", "item")
SELECT_K = 100
Encoders = dict[SideName, RowEncoder]


@dataclass(frozen=True)
class Prepared:
    """Everything that is fixed before the first step."""

    config: TrainConfig
    data: Data
    split: Split
    log: Log
    schema: Schema
    parent: Parent | None = None


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


def prepare(config: TrainConfig, parent: Parent | None = None) -> Prepared:
    """Read the data, split it and fit the schema to its train rows; `parent` is what goes on."""
    check_files(config)
    data = read_data(config.data, config.user, config.item)
    split = make_split(config.split, data, config.data.folder)
    log = log_of(data, split, (TRAIN,))
    return Prepared(config, data, split, log, fit_schema(config, data, log, parent), parent)


def with_validation(prepared: Prepared) -> Prepared:
    """Return the same with validation rows among those to learn from: schema, statistics, all."""
    log = log_of(prepared.data, prepared.split, (TRAIN, VALIDATION))
    schema = fit_schema(prepared.config, prepared.data, log, prepared.parent)
    return replace(prepared, log=log, schema=schema)


def make_encoders(prepared: Prepared) -> Encoders:
    """Encode both sides' entities."""
    schema, data, log = prepared.schema, prepared.data, prepared.log
    return {side: RowEncoder(schema, side, data, log) for side in SIDES}


def make_batches(prepared: Prepared, encoders: Encoders) -> Batches:
    """Encode the rows of the log that may be learned from, as far as losses and negatives ask.

    Raises:
        ConfigError: A loss or a kind of negatives needs rows that are not there.
        DataError: A file of negatives cannot be used.
    """
    rows, config = prepared.data.interactions, prepared.config
    learned, others = _rows(prepared)
    pool = np.concatenate([learned, others]) if len(others) else learned
    is_positive = rows.label[pool] > 0
    positives = UserItems.from_pairs(
        rows.user[pool[is_positive]], rows.item[pool[is_positive]], len(prepared.data.users)
    )
    shown = Shown(
        user=mapped(rows.user[pool]),
        item=mapped(rows.item[pool]),
        is_positive=mapped(is_positive),
        learned=len(learned),
        liked=positives,
        user_ids=prepared.data.users.ids,
        item_ids=prepared.data.items.ids,
        folder=config.data.folder,
    )
    together = [one.together for one in config.losses if one.together is not None]
    return Batches(
        config=config,
        users=encoders["user"].rows(learned),
        items=encoders["item"].rows(pool),
        is_positive=is_positive[: len(learned)],
        weight=mapped(row_weights(rows, learned, config.training.half_life)),
        positives=positives,
        candidates=Candidates(shown, [one.source(shown) for one in config.negatives]),
        sessions={name: session_codes(name, rows, learned) for name in together},
        given=_given(prepared),
    )


def _given(prepared: Prepared) -> dict[VectorFiles, Vectors]:
    """Read the vectors that losses name, of all users and items, once it is sure they can be used.

    Raises:
        ConfigError: A loss needs a warm view, and there is no preference to hide; or it cannot
            use vectors of this length.
        DataError: A file cannot be used.
    """
    config, data = prepared.config, prepared.data
    found: dict[VectorFiles, Vectors] = {}
    for loss in config.losses:
        if loss.needs_warm_view and not (config.user.preference or config.item.preference):
            raise ConfigError(
                f"losses.{loss.kind}: the warm view is that with preference, but neither user nor "
                "item has a preference feature; declare one, or give it another teacher"
            )
        files = loss.vector_files
        if files is None:
            continue
        tables = files.read(config.data.folder, data.users.ids, data.items.ids)
        loss.check_vectors(tables[0].shape[1], config.towers[0].dim)
        found[files] = Vectors(*map(torch.from_numpy, tables))
    return found


def _rows(prepared: Prepared) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows that batches are cut from, and those that only candidates come from."""
    config, is_train = prepared.config, prepared.log.is_train
    clicked = is_train & (prepared.log.label > 0)
    if not clicked.any():
        raise ConfigError("no train row has label 1; nothing to learn from")
    asking = [f"losses.{one.kind}" for one in config.losses if one.needs_exposures]
    asking += [f"negatives.{one.kind}" for one in config.negatives if one.needs_exposures]
    if asking and (clicked == is_train).all():
        raise ConfigError(
            f"{asking[0]}: needs train rows that were shown and not clicked (label 0), and there "
            "are none; log them, or leave it out"
        )
    learned = is_train if asking else clicked
    needs_shown = any(one.needs_shown for one in config.negatives)
    others = is_train & ~learned if needs_shown else np.zeros_like(is_train)
    return np.flatnonzero(learned), np.flatnonzero(others)


@torch.no_grad()
def vectors(tower: SideTower, rows: SideRows, chunk: int = 4096) -> NDArray[np.float32]:
    """Return float32[rows, dim] of every row, in evaluation mode."""
    tower.eval()
    starts = range(0, len(rows), chunk)
    parts = [np.arange(start, min(start + chunk, len(rows))) for start in starts]
    return np.concatenate([tower(tensors(rows.batch(part))).numpy() for part in parts])


def validator(prepared: Prepared, encoders: Encoders) -> Callable[[TwoTower], dict[str, float]]:
    """Return a function that measures recall@100 on the validation slices.

    `selected` is their mean by `training.select`, over the slices that have positives, and `ndcg`
    that of NDCG@100. It tells epochs apart that recall cannot: where a slice has no more candidates
    than are counted, recall is 1 whatever was learned.

    Raises:
        ConfigError: No slice with a weight has positives.
    """
    slices = Slices.of(prepared.data, prepared.split, VALIDATION)
    entities = {side: encoders[side].entities() for side in SIDES}
    filled = {one.name for one in slices.slices if len(one.relevant.items)}
    select = prepared.config.training.select
    if not filled & select.weights.keys():
        raise ConfigError(
            "training.select: validation has no label 1 in a slice with a weight "
            f"({select.weights}; slices with label 1: {sorted(filled) or 'none'}); "
            "see split.validation"
        )

    def validate(model: TwoTower) -> dict[str, float]:
        found = {side: vectors(model.side(side), entities[side]) for side in SIDES}
        measured = slices.measure(dot_scores(found["user"], found["item"]), (SELECT_K,))
        recall = {name: one.recall[SELECT_K] for name, one in measured.items()}
        ndcg = {name: one.ndcg[SELECT_K] for name, one in measured.items()}
        return {**recall, "selected": select.figure(recall), "ndcg": select.figure(ndcg)}

    return validate
