"""How a model is trained: optimiser, learning rate, batches and passes over the data."""

import math
from typing import Any

from training.easyrec.dataset import Dataset
from training.easyrec.section import Section

Options = dict[str, Any]
ADAM = (
    "adam_optimizer",
    "adamw_optimizer",
    "lazy_adam_optimizer",
    "adam_async_optimizer",
    "adam_asyncw_optimizer",
)
OTHERS = (
    "rms_prop_optimizer",
    "momentum_optimizer",
    "momentumw_optimizer",
    "adagrad_optimizer",
    "ftrl_optimizer",
)
RATES = {  # EasyRec's schedules, and the field of each that holds the rate it begins or peaks with
    "constant_learning_rate": "learning_rate",
    "exponential_decay_learning_rate": "initial_learning_rate",
    "manual_step_learning_rate": "initial_learning_rate",
    "cosine_decay_learning_rate": "learning_rate_base",
    "poly_decay_learning_rate": "learning_rate_base",
    "transformer_learning_rate": "learning_rate_base",
}
EPOCHS = 10


def schedule_of(root: Section, dataset: Dataset, rows: int | None) -> tuple[Options, str]:
    """Return the section `training`, and why its epochs are so many.

    Args:
        root: The file.
        dataset: Its batches.
        rows: How many samples there are, None if they were not given.

    """
    train = root.section("train_config", "TrainConfig")
    if train is not None and rows is None:
        train.note("num_steps", "--samples tells how many passes that is; else set training.epochs")
    steps = 0 if train is None else train.whole("num_steps", "training.epochs")
    found: Options = {"batch": dataset.batch, "seed": 1}
    if train is not None:
        optimisers = train.sections("optimizer_config", "Optimizer")
        for one in optimisers[1:]:
            one.note_all("one optimiser, AdamW, trains networks and tables")
        found |= _optimiser(optimisers[0], steps) if optimisers else {}
        if norm := train.number("gradient_clipping_by_norm", "training.clip_norm"):
            found["clip_norm"] = norm  # 0 is EasyRec's word for none
    epochs, why = _epochs(steps, dataset, rows)
    return {"epochs": epochs, **found}, why


def _epochs(steps: int, dataset: Dataset, rows: int | None) -> tuple[int, str]:
    """EasyRec stops at num_steps or after num_epochs, whichever comes first; 0 is no bound."""
    seen = steps * dataset.batch
    told = f"{steps} steps of {dataset.batch} rows"
    if steps and rows:
        epochs = max(1, math.ceil(seen / rows))
        passes = f"{told} over {rows} samples"
        if dataset.epochs and dataset.epochs < epochs:
            return dataset.epochs, "num_epochs"
        return epochs, f"{passes}; training stops sooner if validation no longer gains"
    if steps:
        return EPOCHS, f"not known: {told} are {seen:,} rows; divide by how many you have"
    if dataset.epochs:
        return dataset.epochs, "num_epochs"
    return EPOCHS, "EasyRec would train without end"


def _optimiser(section: Section, steps: int) -> Options:
    for name in OTHERS:
        section.note(name, "AdamW trains here, at its own learning rate: another one's says little")
    for name in ADAM:
        if (adam := section.section(name, "AdamOptimizer")) is not None:
            decay = adam.number("weight_decay", "training.weight_decay")
            rate = adam.section("learning_rate", "LearningRateChoice")
            found = {} if rate is None else _rate(rate, steps)
            return found | ({"weight_decay": decay} if decay else {})
    return {}


def _rate(choice: Section, steps: int) -> Options:
    """Return the rate at its height, how long it rises, and how it falls."""
    for name, field in RATES.items():
        if (section := choice.section(name, "LearningRate")) is None:
            continue
        rate = section.number(field, "training.learning_rate", 0.002)
        if rate <= 0:
            section.refuse(field, "expected a rate above 0")
        rising = _rising(name, section, steps)
        share = min(0.5, rising / steps) if steps else 0.0
        decay = "constant" if name == "constant_learning_rate" else "cosine"
        return {"learning_rate": rate, "warmup": round(share, 4), "decay": decay}
    return {}


def _rising(name: str, section: Section, steps: int) -> int:
    """Return the steps over which the rate rises."""
    if not steps:
        for field in ("burnin_steps", "warmup_steps"):
            section.note(field, "training.warmup is a share of num_steps, which is not given")
    if name == "manual_step_learning_rate":
        section.note("warmup", "the rate begins at its height")
        return 0
    if name == "exponential_decay_learning_rate":
        return section.whole("burnin_steps", "training.warmup, as a share of num_steps")
    return section.whole("warmup_steps", "training.warmup, as a share of num_steps")
