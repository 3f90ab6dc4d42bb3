"""A ranker is trained on what was shown, after the towers and from the same prepared data."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from export.contract.errors import ConfigError
from training.config import TrainConfig
from training.loop import NotFinite, learning_rate
from training.losses.base import weighted_mean
from training.prepare import Encoders, Prepared, make_encoders
from training.ranker.check import history_of
from training.ranker.mean import BaseConfig
from training.ranker.model import Ranker
from training.ranker.options import RankerOptions
from training.ranker.regularise import Regulariser
from training.ranker.rows import RankerBatch, RankerRows
from training.ranker.validate import logits_of, validator

OnStep = Callable[[int, float], None]


@dataclass
class RankerProgress:
    """Every epoch's figures, and the epoch whose GAUC on validation was best with its weights."""

    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best: float = -np.inf
    weights: dict[str, Tensor] = field(default_factory=dict)


def baseline_of(config: RankerOptions) -> RankerOptions | None:
    """Return the options of the baseline that is trained beside a ranker, if one is."""
    if not config.baseline or isinstance(config, BaseConfig):
        return None
    shared = RankerOptions.model_fields.keys() - {"kind"}
    return BaseConfig.model_validate({name: getattr(config, name) for name in shared})


def new_ranker(config: RankerOptions, prepared: Prepared) -> Ranker:
    """Return the ranker that training begins with."""
    torch.manual_seed(prepared.config.training.seed)
    return Ranker(config, prepared.schema, history_of(config, prepared.config.user))


def learned_rows(prepared: Prepared) -> NDArray[np.int64]:
    """Return the rows that are learned from: those of train, clicked or not.

    Raises:
        ConfigError: They hold no two labels.
    """
    learned = np.flatnonzero(prepared.log.is_train)
    labels = prepared.data.interactions.label[learned] > 0
    if labels.all() or not labels.any():
        raise ConfigError(
            "ranker: needs train rows that were clicked (label 1) and rows that were shown and "
            "not clicked (label 0)"
        )
    return learned


def exposures(prepared: Prepared, encoders: Encoders, config: RankerOptions) -> RankerRows:
    """Encode the rows that are learned from.

    Raises:
        ConfigError: They hold no two labels.
    """
    history = history_of(config, prepared.config.user)
    return RankerRows.of(prepared, encoders, history, learned_rows(prepared))


def select_ranker(
    config: RankerOptions, prepared: Prepared, on_step: OnStep
) -> tuple[Ranker, RankerProgress]:
    """Train on the train rows and return the ranker of the epoch that validated best by GAUC.

    Raises:
        ConfigError: There is nothing to learn from, or nothing to validate on.
        NotFinite: The loss became NaN or infinite.
    """
    encoders = make_encoders(prepared)
    rows, validate = exposures(prepared, encoders, config), validator(config, prepared, encoders)
    ranker, progress = new_ranker(config, prepared), RankerProgress()

    def on_epoch(epoch: int, loss: float) -> None:
        figures = validate(ranker)
        progress.history.append({"epoch": epoch, "loss": loss, **figures})
        if figures["selected"] > progress.best:
            progress.best, progress.best_epoch = figures["selected"], epoch
            progress.weights = {name: one.clone() for name, one in ranker.state_dict().items()}

    train_epochs(config, prepared.config, ranker, rows, config.epochs, on_step, on_epoch)
    ranker.load_state_dict(progress.weights)
    return ranker.eval(), progress


def refit_ranker(config: RankerOptions, prepared: Prepared, epochs: int, on_step: OnStep) -> Ranker:
    """Train a new ranker on all rows known before test, for as many epochs as were selected."""
    ranker = new_ranker(config, prepared)
    rows = exposures(prepared, make_encoders(prepared), config)
    train_epochs(config, prepared.config, ranker, rows, epochs, on_step)
    return ranker.eval()


def train_epochs(
    config: RankerOptions,
    run: TrainConfig,
    ranker: Ranker,
    rows: RankerRows,
    epochs: int,
    on_step: OnStep,
    on_epoch: Callable[[int, float], None] = lambda epoch, loss: None,
) -> None:
    """Train in place; the learning rate runs its whole course over these epochs."""
    optimizer = torch.optim.AdamW(ranker.parameters(), lr=config.learning_rate, weight_decay=0.0)
    regulariser = Regulariser(ranker, rows, config.regularise) if config.regularise else None
    course = run.training.model_copy(update={"learning_rate": config.learning_rate})
    scheduled = run.model_copy(update={"training": course})
    steps, number = -(-len(rows) // config.batch) * epochs, 0
    for epoch in range(epochs):
        rng = np.random.default_rng([run.training.seed, epoch])
        ranker.train()
        total = 0.0
        for batch in rows.epoch(config.batch, config.dropout or run.dropout, rng, config.stale):
            rate = learning_rate(scheduled, number, steps)
            loss = step(ranker, optimizer, batch, rate)
            if regulariser is not None:
                regulariser.apply(batch, rate)
            total += loss * len(batch.weight)
            number += 1
            on_step(number, loss)
        on_epoch(epoch + 1, total / len(rows))


def step(
    ranker: Ranker, optimizer: torch.optim.Optimizer, batch: RankerBatch, rate: float
) -> float:
    """Take one step and return the loss, binary cross entropy weighted by the rows' weights."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    losses = functional.binary_cross_entropy_with_logits(
        logits_of(ranker, batch), batch.is_positive.float(), reduction="none"
    )
    loss = weighted_mean(losses, batch.weight)
    if not torch.isfinite(loss):
        raise NotFinite(
            f"ranker: loss is {loss.item()} at learning rate {rate:.2g}, {len(losses)} rows; "
            "lower ranker.learning_rate"
        )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.item()
