"""Comparison: configurations trained on the same rows and seeds, then measured together."""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from export.contract.errors import ConfigError
from export.contract.run import RunLayout
from training.checkpoint import resolved
from training.choice import choose
from training.config import TrainConfig
from training.digest import data_digest
from training.evaluate import evaluate
from training.factors import fit_factors
from training.run import Reporter, run_training
from training.subject import Subject, open_subject


def compare(
    configs: dict[str, TrainConfig],
    seeds: Sequence[int],
    out: Path,
    reporter: Reporter,
) -> dict[str, Any]:
    """Train each configuration in each seed, and return their evaluation as one document.

    Each run has a folder `NAME-SEED` in `out`. One that is finished is taken as it is, one that
    was broken off is continued, so a comparison may be stopped and started again.

    Args:
        configs: What is compared, by name; the first is the one that others are held against.
        seeds: Those of training; figures are means over them.
        out: The folder of runs; made if it is not there.
        reporter: Whom to tell.

    Returns:
        The document of `training.evaluate.evaluate`, its scorers called by the given names, with
        what validation says of each name, and which it takes, as `validation`.

    Raises:
        ConfigError: A folder holds a run of another configuration, or of other data; or two
            configurations ask for other factors.
    """
    _fit_factors(configs, reporter)
    groups: dict[str, list[Subject]] = {name: [] for name in configs}
    layouts: dict[str, list[RunLayout]] = {name: [] for name in configs}
    for seed in seeds:
        for name, config in configs.items():
            folder = out / f"{name}-{seed}"
            _train(seeded(config, seed), folder, reporter)
            layouts[name].append(RunLayout(folder))
            groups[name].append(replace(open_subject(folder, None), name=name))
    first = next(iter(configs))
    rivals = {name: group for name, group in groups.items() if name != first}
    return {**evaluate(groups[first], rivals), "validation": choose(layouts)}


def _fit_factors(configs: dict[str, TrainConfig], reporter: Reporter) -> None:
    """Fit the factors that runs read, once for all: when runs are measured they read them again.

    Raises:
        ConfigError: Two configurations ask for other ones, which would lie in the same files.
    """
    asking = {name: config for name, config in configs.items() if config.factors is not None}
    for first, other in pairwise(asking):
        if asking[first].factors != asking[other].factors:
            raise ConfigError(
                f"factors: {first} and {other} ask for other ones, and the data folder holds those "
                "of one; compare with the same, or search them: firstsight tune --search "
                "factors.size=LOW..HIGH"
            )
    for config in list(asking.values())[:1]:
        fit_factors(config, reporter.note)


def seeded(config: TrainConfig, seed: int) -> TrainConfig:
    """Return the same configuration with another seed of training."""
    training = config.training.model_copy(update={"seed": seed})
    return config.model_copy(update={"training": training})


def _train(config: TrainConfig, folder: Path, reporter: Reporter) -> None:
    if is_finished(config, RunLayout(folder)):
        reporter.note(f"{folder}: finished before")
        return
    reporter.note(f"{folder}:")
    run_training(config, folder, resume=True, reporter=reporter)


def is_finished(config: TrainConfig, layout: RunLayout) -> bool:
    """Say whether a folder holds a finished run of this configuration.

    Raises:
        ConfigError: It holds one of another, or of other data.
    """
    if not layout.metrics.is_file():
        return False
    if layout.config.read_text(encoding="utf-8") != resolved(config, layout.folder):
        raise ConfigError(
            f"{layout.folder}: holds a run of another configuration; use another --out"
        )
    digest = json.loads(layout.metrics.read_text(encoding="utf-8")).get("data_digest")
    if digest != data_digest(config):
        raise ConfigError(f"{layout.folder}: holds a run of other data; use another --out")
    return True
