"""A run: data in, a folder out with everything evaluation and export need."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch.utils.tensorboard import SummaryWriter

from export.contract.concepts import ConceptTable
from export.contract.errors import ConfigError
from export.contract.run import RunLayout
from export.contract.side import SideName
from export.contract.tables import write_records
from training.checkpoint import load_checkpoint, resolved, save_checkpoint
from training.config import TrainConfig
from training.data import Data
from training.digest import data_digest
from training.factors import fit_factors
from training.growing.parent import open_parent
from training.growing.takeover import take_over
from training.loop import Progress, optimiser, retrain, train
from training.model import TwoTower
from training.prepare import (
    SELECT_K,
    Prepared,
    log_of,
    make_batches,
    make_encoders,
    prepare,
    validator,
    with_validation,
)
from training.presence import Step, helps, in_json, measure_presence
from training.program import export_tower
from training.ranker.run import check_rows, train_rankers
from training.rows import RowEncoder
from training.split import TRAIN, VALIDATION
from training.statistics import Log
from training.word_vectors import start_from_vectors


@dataclass(frozen=True)
class Reporter:
    """Whom a run tells how it goes: a fact in words, each step, each epoch's figures."""

    note: Callable[[str], None] = lambda text: None
    step: Callable[[int, int, float], None] = lambda step, steps, loss: None
    epoch: Callable[[dict[str, Any]], None] = lambda figures: None


def run_training(
    config: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    reporter: Reporter | None = None,
    grow_from: Path | None = None,
) -> RunLayout:
    """Train a run into a folder.

    Args:
        config: What to do.
        out: The run folder; must not exist unless resuming.
        resume: Continue after the last finished epoch, to the same numbers.
        reporter: Whom to tell.
        grow_from: A finished run whose vocabularies and weights this one begins with.

    Raises:
        ConfigError: `out` holds a run already, or resuming with another configuration or data;
            or the run to grow from cannot be grown from.
        NotFinite: The loss became NaN or infinite.
    """
    layout, told, began = RunLayout(out), reporter or Reporter(), time.monotonic()
    parent = None if grow_from is None else open_parent(grow_from, config, out)
    if layout.config.exists() and not resume:
        raise ConfigError(f"{out}: holds a run already; use --resume, or another --out")
    fit_factors(config, told.note)
    prepared, digest = prepare(config, parent), data_digest(config)
    check_rows(prepared)
    _tell(prepared, told)
    selected = prepared
    with SummaryWriter(str(layout.log)) as scalars:
        model, progress = _select(layout, prepared, digest, told, scalars, resume=resume)
        presence = measure_presence(prepared, model)
        _tell_presence(presence, told)
        if config.training.refit:
            told.note(
                f"best epoch {progress.best_epoch}: {progress.best:.4f}; training again for as "
                "many, with the validation rows"
            )
            prepared = with_validation(prepared)
            model, losses = _refit(prepared, progress.best_epoch, told, scalars)
        else:
            told.note(f"best epoch {progress.best_epoch}: {progress.best:.4f}")
            log = log_of(prepared.data, prepared.split, (TRAIN, VALIDATION))
            prepared, losses = replace(prepared, log=log), []
    write_run(layout, prepared, model)
    ranked = train_rankers(layout, selected, prepared, told.note, told.step)
    seconds = time.monotonic() - began
    _write_metrics(layout, prepared, digest, progress, losses, presence, seconds, ranked)
    return layout


def _select(
    layout: RunLayout,
    prepared: Prepared,
    digest: str,
    told: Reporter,
    scalars: SummaryWriter,
    *,
    resume: bool,
) -> tuple[TwoTower, Progress]:
    """Train on the train rows and return the model of the epoch that validated best."""
    config, encoders = prepared.config, make_encoders(prepared)
    batches, validate = make_batches(prepared, encoders), validator(prepared, encoders)
    model = new_model(prepared, told)
    origin = "" if prepared.parent is None else prepared.parent.line
    progress, optimizer = Progress(), optimiser(config, model)
    if resume and layout.config.exists():
        progress, optimizer = load_checkpoint(layout, digest, config, model, origin)
    layout.config.write_text(origin + resolved(config, layout.folder), encoding="utf-8")

    def on_epoch(progress: Progress, optimizer: torch.optim.Optimizer) -> None:
        save_checkpoint(layout, digest, model, optimizer, progress)
        figures = progress.history[-1]
        for name, value in figures.items():
            if isinstance(value, float):
                scalars.add_scalar(f"epoch/{name}", value, progress.epoch)
        told.epoch(figures)

    train(
        config,
        model,
        batches,
        validate,
        progress=progress,
        optimizer=optimizer,
        on_step=_on_step(told, scalars, "loss", len(batches) * config.training.epochs),
        on_epoch=on_epoch,
    )
    model.load_state_dict(progress.best_weights)
    return model, progress


def _refit(
    prepared: Prepared, epochs: int, told: Reporter, scalars: SummaryWriter
) -> tuple[TwoTower, list[float]]:
    """Train a new model on all rows known before test; a resumed run does this from its start."""
    config = prepared.config
    batches = make_batches(prepared, make_encoders(prepared))
    model = new_model(prepared, told)
    on_step = _on_step(told, scalars, "refit/loss", len(batches) * epochs)
    return model, retrain(config, model, batches, epochs, on_step=on_step)


def new_model(prepared: Prepared, told: Reporter) -> TwoTower:
    """Return the model that training begins with: new, but for what a parent learned."""
    torch.manual_seed(prepared.config.training.seed)
    model = TwoTower(prepared.config, prepared.schema)
    if prepared.parent is not None:
        for note in take_over(model, prepared.config, prepared.parent):
            told.note(note)
    for note in start_from_vectors(model, prepared.config, prepared.schema, prepared.parent):
        told.note(note)
    return model


def _on_step(
    told: Reporter, scalars: SummaryWriter, name: str, steps: int
) -> Callable[[int, float], None]:
    def on_step(step: int, loss: float) -> None:
        scalars.add_scalar(name, loss, step)
        told.step(step, steps, loss)

    return on_step


def _tell(prepared: Prepared, told: Reporter) -> None:
    dropped = {reason: rows for reason, rows in prepared.data.dropped.items() if rows}
    told.note(f"rows: {prepared.split.counts()}; left out: {dropped or 'none'}")
    told.note(f"statistics: {'; '.join(prepared.schema.rules.values())}")


def _tell_presence(curves: Mapping[SideName, Sequence[Step]], told: Reporter) -> None:
    for side, curve in curves.items():
        told.note(f"{helps(side, curve)} (validation; see presence in metrics.json)")


def write_run(layout: RunLayout, prepared: Prepared, model: TwoTower) -> None:
    """Write the finished run: schema, encoders, towers, and the records as training ended."""
    torch.save(model.state_dict(), layout.weights)
    prepared.schema.write(layout.schema)
    encoders = make_encoders(prepared)
    values = {
        (side, name): values
        for side, encoder in encoders.items()
        for name, values in encoder.concept_values().items()
    }
    ConceptTable(prepared.schema, values).write(layout.concepts)
    for name in prepared.schema.user.item_vectors:
        layout.item_vectors(name).parent.mkdir(exist_ok=True)
        statistic = prepared.schema.user.preference[name].statistic
        assert statistic is not None
        assert statistic.vectors_of is not None
        np.save(layout.item_vectors(name), prepared.data.vectors[statistic.vectors_of])
    for side, encoder in encoders.items():
        layout.encoder(side).write_bytes(encoder.encoder.model)
        export_tower(model.side(side), encoder.entities(), layout.tower(side))
        _write_entities(layout, encoder, prepared.log)


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
    layout: RunLayout,
    prepared: Prepared,
    digest: str,
    progress: Progress,
    refit: list[float],
    presence: Mapping[SideName, Sequence[Step]],
    seconds: float,
    ranked: Mapping[str, Any],
) -> None:
    found = {
        "selected_epoch": progress.best_epoch,
        "selected": progress.best,
        "epochs": progress.history,
        "refit_losses": refit,
        "seconds": round(seconds, 2),
        "finished_at": datetime.now(UTC).isoformat(),
        "data": prepared.config.data.folder.name,
        "data_digest": digest,
        "rows": prepared.split.counts(),
        "dropped": prepared.data.dropped,
        "rules": prepared.schema.rules,
        "select_k": SELECT_K,
        "presence": in_json(presence),
        **ranked,
    }
    if prepared.parent is not None:
        found["grown_from"] = prepared.parent.facts(prepared.schema)
    layout.metrics.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
