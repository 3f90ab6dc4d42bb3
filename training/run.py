"""A run: data in, a folder out with everything evaluation and export need."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch.utils.tensorboard import SummaryWriter

from export.contract.errors import ConfigError
from export.contract.run import RunLayout
from export.contract.tables import write_records
from training.checkpoint import load_checkpoint, resolved, save_checkpoint
from training.config import TrainConfig
from training.data import Data
from training.loop import Progress, optimiser, train
from training.model import TwoTower
from training.prepare import SELECT_K, SIDES, Prepared, log_of, make_batches, prepare, validator
from training.program import export_tower
from training.rows import RowEncoder
from training.split import TRAIN, VALIDATION
from training.statistics import Log

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reporter:
    """Whom a run tells how it goes: a fact in words, each step, each epoch's figures."""

    note: Callable[[str], None] = lambda text: None
    step: Callable[[int, int, float], None] = lambda step, steps, loss: None
    epoch: Callable[[dict[str, Any]], None] = lambda figures: None


def run_training(
    config: TrainConfig, out: Path, *, resume: bool = False, reporter: Reporter | None = None
) -> RunLayout:
    """Train a run into a folder.

    Args:
        config: What to do.
        out: The run folder; must not exist unless resuming.
        resume: Continue after the last finished epoch, to the same numbers.
        reporter: Whom to tell.

    Raises:
        ConfigError: `out` holds a run already, or resuming with another configuration.
        NotFinite: The loss became NaN or infinite.
    """
    layout, told, began = RunLayout(out), reporter or Reporter(), time.monotonic()
    if layout.config.exists() and not resume:
        raise ConfigError(f"{out}: holds a run already; use --resume, or another --out")
    torch.manual_seed(config.training.seed)
    prepared = prepare(config)
    _tell(prepared, told)
    encoders = {
        side: RowEncoder(prepared.schema, side, prepared.data, prepared.log) for side in SIDES
    }
    batches = make_batches(prepared, encoders)
    model = TwoTower(config, prepared.schema)
    progress, optimizer = Progress(), optimiser(config, model)
    if resume and layout.config.exists():
        progress, optimizer = load_checkpoint(layout, config, model)
    out.mkdir(parents=True, exist_ok=True)
    layout.config.write_text(resolved(config), encoding="utf-8")
    steps = len(batches) * config.training.epochs
    with SummaryWriter(str(layout.log)) as scalars:

        def on_step(step: int, loss: float) -> None:
            scalars.add_scalar("loss", loss, step)
            told.step(step, steps, loss)

        def on_epoch(progress: Progress, optimizer: torch.optim.Optimizer) -> None:
            save_checkpoint(layout, model, optimizer, progress)
            figures = progress.history[-1]
            for name, value in figures.items():
                if isinstance(value, float):
                    scalars.add_scalar(f"epoch/{name}", value, progress.epoch)
            told.epoch(figures)

        validate = validator(prepared, encoders)
        train(
            config,
            model,
            batches,
            validate,
            progress=progress,
            optimizer=optimizer,
            on_step=on_step,
            on_epoch=on_epoch,
        )
    told.note(f"best epoch {progress.best_epoch}: {progress.best:.4f}; writing the run")
    write_run(layout, prepared, model, progress)
    _write_metrics(layout, prepared, progress, time.monotonic() - began)
    return layout


def _tell(prepared: Prepared, told: Reporter) -> None:
    dropped = {reason: rows for reason, rows in prepared.data.dropped.items() if rows}
    told.note(f"rows: {prepared.split.counts()}; left out: {dropped or 'none'}")
    told.note(f"statistics: {'; '.join(prepared.schema.rules.values())}")


def write_run(layout: RunLayout, prepared: Prepared, model: TwoTower, progress: Progress) -> None:
    """Write the finished run: schema, encoders, towers, and the records as training ended."""
    data, split, schema = prepared.data, prepared.split, prepared.schema
    model.load_state_dict(progress.best_weights)
    torch.save(model.state_dict(), layout.weights)
    schema.write(layout.schema)
    log = log_of(data, split, (TRAIN, VALIDATION))
    for side in SIDES:
        encoder = RowEncoder(schema, side, data, log)
        layout.encoder(side).write_bytes(encoder.encoder.model)
        export_tower(model.side(side), encoder.entities(), layout.tower(side))
        _write_entities(layout, encoder, log)


def _write_entities(layout: RunLayout, encoder: RowEncoder, log: Log) -> None:
    """Write the records of one side with preference as of the end of training."""
    side, data = encoder.side, encoder.data
    table = data.users if encoder.name == "user" else data.items
    records = encoder.raw_records()
    extras = _item_extras(data, log) if encoder.name == "item" else {}
    path = layout.users if encoder.name == "user" else layout.items
    id_column = "user_id" if encoder.name == "user" else "item_id"
    write_records(path, side, id_column, table.ids, records, extras)


def _item_extras(data: Data, log: Log) -> dict[str, Any]:
    """Return each item's share of train clicks, first train moment, and whether it has one."""
    rows, size = data.interactions, len(data.items)
    clicked = log.is_train & (rows.label > 0)
    clicks = np.bincount(rows.item[clicked], minlength=size)
    first = np.full(size, np.inf)
    if rows.timestamp is not None:
        np.minimum.at(first, rows.item[log.is_train], rows.timestamp[log.is_train])
    trained = np.bincount(rows.item[log.is_train], minlength=size) > 0
    return {
        "popularity": pa.array(clicks / max(1, clicks.sum()), pa.float64()),
        "first_seen": pa.array(np.where(np.isfinite(first), first, np.nan), pa.float64()),
        "trained": pa.array(trained, pa.bool_()),
    }


def _write_metrics(
    layout: RunLayout, prepared: Prepared, progress: Progress, seconds: float
) -> None:
    found = {
        "selected_epoch": progress.best_epoch,
        "selected": progress.best,
        "epochs": progress.history,
        "seconds": round(seconds, 2),
        "finished_at": datetime.now(UTC).isoformat(),
        "data": str(prepared.config.data.folder),
        "rows": prepared.split.counts(),
        "dropped": prepared.data.dropped,
        "rules": prepared.schema.rules,
        "select_k": SELECT_K,
    }
    layout.metrics.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
