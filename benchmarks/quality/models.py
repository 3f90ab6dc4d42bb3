"""The trained models of a table: ours, and the presets on the same features and budget."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.quality.case import Case
from benchmarks.quality.known import Fitted, Known
from export.contract.errors import ConfigError
from export.contract.run import RunLayout
from training.compare import is_finished, seeded
from training.config import TrainConfig, read_config
from training.embedded import Embedded
from training.factors import write_factors
from training.parts import TEST, VALIDATION
from training.presets import names
from training.ranker.measure import row_chances
from training.run import Reporter, run_training
from training.search import Told, Values
from training.span import Searched, Span
from training.subject import open_subject
from training.tune import BEST, search_space, tune

OURS, LITERAL, ORIGINAL = "ours", "easyrec-dropoutnet", "dropoutnet-original"
MODELS = (OURS, *(name for name in names() if name != OURS))
RATE = "training.learning_rate"
Selected = Callable[[str], Values]


def select_model(case: Case, name: str, trials: int, selected: Selected, told: Told) -> None:
    """Search a model's options on validation; the folder of the search keeps the best."""
    config = case.config(VALIDATION, *_asked(name, selected))
    if config.factors is not None:
        write_factors(config, config.data.folder, told)
    tune(config, model_space(name, config), trials, case.searches / name, told, case.kept / name)


def model_space(name: str, config: TrainConfig) -> dict[str, Searched]:
    """Return what of a model is searched: of a literal one its learning rate, else it were none.

    The loss of the original, whose networks are the widest, leaps at rates that suit the others.
    """
    space = search_space(config)
    if name == ORIGINAL:
        return space | {RATE: Span(0.0003, 0.003)}
    return {RATE: space[RATE]} if name == LITERAL else space


def final_config(case: Case, name: str, seed: int) -> TrainConfig:
    """Return what is trained for the table: our file as it stands, a preset as it was selected.

    Raises:
        ConfigError: The preset has not been selected.
    """
    if name == OURS:
        return seeded(case.config(TEST), seed)
    best = case.model_searches / name / BEST
    if not best.is_file():
        raise ConfigError(f"{name}: not selected yet ({best} is missing); run the step select")
    return seeded(case.tested(read_config(best)), seed)


def train_model(config: TrainConfig, folder: Path, known: Known, told: Told) -> dict[str, Fitted]:
    """Train a run, unless it is there, and return its scorer and those of its rankers."""
    reporter = Reporter(note=told)
    if not (folder.is_dir() and is_finished(config, RunLayout(folder))):
        run_training(config, folder, resume=True, reporter=reporter)
    subject = open_subject(folder, None)
    run = Embedded.of(subject, known.ground.data_for(config), known.split)
    found = {"": Fitted(run.scores, run.row_scores)}
    for kind, ranker in subject.rankers.items():
        found[f"+{kind}"] = Fitted(rows=partial(row_chances, run, ranker))
    return found


def _asked(name: str, selected: Selected) -> tuple[str | None, tuple[str, ...]]:
    """Return the preset and what of it is set: the original's factors are the tuned ones."""
    if name == OURS:
        return None, ()
    if name == ORIGINAL:
        return name, (f"factors={json.dumps(dict(selected('wmf')))}",)
    return name, ()
