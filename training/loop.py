"""The training loop, read top to bottom."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from export.contract.errors import ContractError
from training.batches import Batch, Batches
from training.config import TrainConfig
from training.losses.base import Scored, Vectors
from training.model import TwoTower

OnStep = Callable[[int, float], None]


class NotFinite(ContractError):
    """The loss is no number any more; the message holds the batch's facts."""


@dataclass
class Progress:
    """Where training stands; with the model's and optimiser's state, all a resumption needs."""

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best: float = -math.inf
    best_ndcg: float = -math.inf
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)

    def is_over(self, config: TrainConfig) -> bool:
        """Whether all epochs are done, or `patience` of them since the best one."""
        options = config.training
        waited = self.epoch - self.best_epoch if self.epoch else 0
        return self.epoch >= options.epochs or waited >= options.patience


@dataclass(frozen=True)
class EpochFacts:
    """The mean loss of an epoch's rows, and the shares of the four states they were seen in."""

    loss: float
    states: dict[str, float]


def optimiser(config: TrainConfig, model: TwoTower) -> torch.optim.Optimizer:
    """Return AdamW with its own decay for tables and networks, and none for what losses learn."""
    options = config.training
    learned = [one for one in model.losses.parameters() if one.requires_grad]
    groups = [
        {"params": model.tables(), "weight_decay": options.embedding_decay},
        {"params": model.networks(), "weight_decay": options.weight_decay},
        {"params": learned, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [g for g in groups if g["params"]], lr=options.learning_rate, fused=True
    )


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
    on_step: OnStep = lambda step, loss: None,
    on_epoch: Callable[[Progress, torch.optim.Optimizer], None] = lambda progress, opt: None,
) -> Progress:
    """Train until the epochs are over or validation has not improved for `patience` epochs.

    Args:
        config: The run's configuration.
        model: Trained in place; ends with the last, not the best weights.
        batches: Training rows.
        validate: Gives validation figures; `selected` is the one that decides, and where two
            epochs have the same the `ndcg` beside it, if there is one.
        progress: Where an earlier run stopped; `optimizer` must be the one it stopped with.
        optimizer: As above.
        on_step: Told each step's number and loss.
        on_epoch: Told after each epoch; may write a checkpoint.

    Raises:
        NotFinite: The loss became NaN or infinite.
    """
    progress = progress or Progress()
    optimizer = optimizer or optimiser(config, model)
    while not progress.is_over(config):
        facts = run_epoch(config, model, optimizer, batches, progress, on_step)
        figures = validate(model)
        progress.history.append(
            {"epoch": progress.epoch, "loss": facts.loss, **figures, "states": facts.states}
        )
        found = figures["selected"], figures.get("ndcg", 0.0)
        if found > (progress.best, progress.best_ndcg):
            (progress.best, progress.best_ndcg), progress.best_epoch = found, progress.epoch
            progress.best_weights = {k: v.clone() for k, v in model.state_dict().items()}
        on_epoch(progress, optimizer)
    return progress


def retrain(
    config: TrainConfig,
    model: TwoTower,
    batches: Batches,
    epochs: int,
    *,
    on_step: OnStep = lambda step, loss: None,
) -> list[float]:
    """Train a new model for as many epochs as were selected, and return each epoch's loss.

    The learning rate runs its whole course over these epochs: what is kept has come to rest,
    which a model taken from the middle of a schedule has not.

    Raises:
        NotFinite: The loss became NaN or infinite.
    """
    options = config.training.model_copy(update={"epochs": epochs})
    config = config.model_copy(update={"training": options})
    progress, optimizer = Progress(), optimiser(config, model)
    return [
        run_epoch(config, model, optimizer, batches, progress, on_step).loss for _ in range(epochs)
    ]


def run_epoch(
    config: TrainConfig,
    model: TwoTower,
    optimizer: torch.optim.Optimizer,
    batches: Batches,
    progress: Progress,
    on_step: OnStep,
) -> EpochFacts:
    """Take every row once and move `progress` on."""
    torch.manual_seed(config.training.seed * 100_003 + progress.epoch)
    model.train()
    steps = len(batches) * config.training.epochs
    total, rows = 0.0, 0
    states: dict[str, float] = {}
    for batch in batches.epoch(progress.epoch):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, progress.step, steps)
        loss = step(config, model, optimizer, batch, progress)
        total, rows = total + loss * len(batch.rows), rows + len(batch.rows)
        for state, share in batch.states.shares().items():
            states[state] = states.get(state, 0.0) + share * len(batch.rows)
        progress.step += 1
        on_step(progress.step, loss)
    progress.epoch += 1
    return EpochFacts(total / rows, {state: found / rows for state, found in states.items()})


def step(
    config: TrainConfig,
    model: TwoTower,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    progress: Progress,
) -> float:
    """Take one step and return the loss."""
    scored = encode(model, batch)
    pairs = zip(config.losses, model.losses, strict=True)
    losses = [one.weight * module(scored) for one, module in pairs]
    loss = torch.stack(losses).sum()
    if not torch.isfinite(loss):
        parts = {one.kind: v.item() for one, v in zip(config.losses, losses, strict=True)}
        rate = optimizer.param_groups[0]["lr"]
        raise NotFinite(
            f"loss is {loss.item()} in epoch {progress.epoch + 1}, step {progress.step + 1}: "
            f"losses {parts}, {len(batch.rows)} rows (first {batch.rows[:5].tolist()}), learning "
            f"rate {rate:.2g}, largest score {scored.scores.abs().max().item():.3g}, states "
            f"{batch.states.shares()}; lower training.learning_rate or look at these rows"
        )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    if config.training.clip_norm is not None:
        parameters = [one for group in optimizer.param_groups for one in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, config.training.clip_norm)
    optimizer.step()
    return loss.item()


def encode(model: TwoTower, batch: Batch) -> Scored:
    """Return what losses are given; the warm view is the model's as it would be served now."""
    warm = None
    if batch.warm is not None:
        model.eval()
        with torch.no_grad():
            warm = Vectors(model.user(batch.warm[0]), model.item(batch.warm[1]))
        model.train()
    return batch.scored(model.user.seen(batch.user), model.item.seen(batch.item), warm)
