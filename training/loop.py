"""The training loop, read top to bottom."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from export.contract.errors import ContractError
from training.batches import Batch, Batches
from training.config import TrainConfig
from training.losses.base import Scored
from training.model import TwoTower

logger = logging.getLogger(__name__)


class NotFinite(ContractError):
    """The loss is no number any more; the message holds the batch's facts."""


@dataclass
class Progress:
    """Where training stands; with the model's and optimiser's state, all a resumption needs."""

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best: float = -math.inf
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)


def optimiser(config: TrainConfig, model: TwoTower) -> torch.optim.Optimizer:
    """Return AdamW with its own decay for tables and networks."""
    options = config.training
    groups = [
        {"params": model.tables(), "weight_decay": options.embedding_decay},
        {"params": model.networks(), "weight_decay": options.weight_decay},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=options.learning_rate)


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """Return the rate of one step: a linear rise, then constant or half a cosine down to 0."""
    options = config.training
    rise = options.warmup * steps
    if step < rise:
        return options.learning_rate * (step + 1) / (rise + 1)
    if options.decay == "constant":
        return options.learning_rate
    share = (step - rise) / max(1.0, steps - rise)
    return options.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


def train(
    config: TrainConfig,
    model: TwoTower,
    batches: Batches,
    validate: Callable[[TwoTower], dict[str, float]],
    *,
    progress: Progress | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
    on_epoch: Callable[[Progress, torch.optim.Optimizer], None] = lambda progress, opt: None,
) -> Progress:
    """Train until the epochs are over or validation has not improved for `patience` epochs.

    Args:
        config: The run's configuration.
        model: Trained in place; ends with the last, not the best weights.
        batches: Training rows.
        validate: Gives validation figures; `selected` is the one that decides.
        progress: Where an earlier run stopped; `optimizer` must be the one it stopped with.
        optimizer: As above.
        on_step: Told each step's number and loss.
        on_epoch: Told after each epoch; may write a checkpoint.

    Raises:
        NotFinite: The loss became NaN or infinite.
    """
    progress = progress or Progress()
    optimizer = optimizer or optimiser(config, model)
    steps = len(batches) * config.training.epochs
    while progress.epoch < config.training.epochs:
        torch.manual_seed(config.training.seed * 100_003 + progress.epoch)
        model.train()
        total, rows, states = 0.0, 0, np.zeros(4)
        for batch in batches.epoch(progress.epoch):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(config, progress.step, steps)
            loss = step(config, model, optimizer, batch, progress)
            total, rows = total + loss * len(batch.rows), rows + len(batch.rows)
            states += np.array(list(batch.states.shares().values())) * len(batch.rows)
            progress.step += 1
            on_step(progress.step, loss)
        progress.epoch += 1
        figures = validate(model)
        shares = dict(zip(batch.states.shares(), (states / rows).tolist(), strict=True))
        note = {"epoch": progress.epoch, "loss": total / rows, **figures, "states": shares}
        progress.history.append(note)
        if figures["selected"] > progress.best:
            progress.best, progress.best_epoch = figures["selected"], progress.epoch
            progress.best_weights = {k: v.clone() for k, v in model.state_dict().items()}
        on_epoch(progress, optimizer)
        if progress.epoch - progress.best_epoch >= config.training.patience:
            break
    return progress


def step(
    config: TrainConfig,
    model: TwoTower,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    progress: Progress,
) -> float:
    """Take one step and return the loss."""
    users, items = model.user(batch.user), model.item(batch.item)
    scored = Scored(
        scores=users @ items.T,
        same_item=batch.same_item,
        known_positive=batch.known_positive,
        log_q=batch.log_q,
        weight=batch.weight,
    )
    losses = [one.weight * one(scored) for one in config.losses]
    loss = torch.stack(losses).sum()
    if not torch.isfinite(loss):
        parts = {one.kind: float(v) for one, v in zip(config.losses, losses, strict=True)}
        rate = optimizer.param_groups[0]["lr"]
        raise NotFinite(
            f"loss is {float(loss)} in epoch {progress.epoch + 1}, step {progress.step + 1}: "
            f"losses {parts}, {len(batch.rows)} rows (first {batch.rows[:5].tolist()}), learning "
            f"rate {rate:.2g}, largest score {float(scored.scores.abs().max()):.3g}, states "
            f"{batch.states.shares()}; lower training.learning_rate or look at these rows"
        )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(loss)
