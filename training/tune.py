"""Tuning: the options of a configuration that validate best, by a number of trials."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from export.contract.errors import ConfigError
from export.contract.strict import Strict
from training.checkpoint import resolved
from training.config import TrainConfig, parse_config
from training.digest import run_digest
from training.loop import NotFinite, train
from training.override import override
from training.prepare import Prepared, make_batches, make_encoders, prepare, validator
from training.run import Reporter, new_model
from training.span import Searched, Span

TRIALS, BEST = "trials.log", "best.yaml"
DONE = (TrialState.COMPLETE, TrialState.FAIL)
Told = Callable[[str], None]


@runtime_checkable
class Tunable(Protocol):
    """A part of a configuration that says which of its options are worth a search."""

    searched: Mapping[str, Span]


def search_space(config: TrainConfig) -> dict[str, Searched]:
    """Return what the parts of a configuration say is worth a search, by path."""
    return dict(_searched(config, ""))


def tune(
    config: TrainConfig, space: Mapping[str, Searched], trials: int, out: Path, told: Told
) -> TrainConfig:
    """Try values until so many trials are done, and return the configuration that validated best.

    A trial trains as `train` does up to its selection, and is worth the selected epoch's figure
    on validation; test rows are not looked at, nor is validation trained on. Values are drawn by
    Optuna's TPE (Bergstra et al., NIPS 2011). Trials are kept in `out`, so that the same call
    goes on after a stop; one that was broken off is tried anew, one whose loss is no number any
    more counts as done. `best.yaml` there is written after each.

    Args:
        config: What stays as it is.
        space: What is searched, by path, as `--set` has it.
        trials: How many in all, those of an earlier call included.
        out: The folder of the search; made if it is not there.
        told: Is told each trial's figure and values.

    Raises:
        ConfigError: Nothing is searched, a path leads nowhere, the folder holds a search of
            another configuration, space or data, or every trial failed.
    """
    if not space:
        raise ConfigError("nothing to search: give --search PATH=LOW..HIGH")
    study = _study(config, space, out)
    prepared: dict[str, Prepared] = {}

    def figure(trial: Trial) -> float:
        values = {path: _suggest(trial, path, among) for path, among in space.items()}
        return _figure(_with(config, values), prepared)

    def on_trial(study: optuna.Study, trial: FrozenTrial) -> None:
        told(f"trial {trial.number + 1}: {_in_words(trial)}")
        if _best(study) is not None:
            _write_best(config, study, out)

    for _ in range(trials - len(study.get_trials(deepcopy=False, states=DONE))):
        study.optimize(figure, n_trials=1, catch=(NotFinite,), callbacks=[on_trial])
    if _best(study) is None:
        raise ConfigError(f"{out}: no trial gave a figure; narrow the search")
    return _with(config, study.best_params)


def _study(config: TrainConfig, space: Mapping[str, Searched], out: Path) -> optuna.Study:
    """Open the folder's search, or begin one."""
    _with(config, {path: _any(among) for path, among in space.items()})  # paths lead somewhere
    out.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(out / TRIALS)))
    study = optuna.create_study(
        storage=storage, study_name="tune", direction="maximize", load_if_exists=True
    )
    asked = {"run": run_digest(config), "space": {path: str(one) for path, one in space.items()}}
    if study.user_attrs.get("asked", asked) != asked:
        raise ConfigError(
            f"{out}: holds a search of another configuration, space or data; use another --out"
        )
    study.set_user_attr("asked", asked)
    done = len(study.get_trials(deepcopy=False))
    study.sampler = optuna.samplers.TPESampler(seed=config.training.seed + done)
    return study


def _figure(config: TrainConfig, prepared: dict[str, Prepared]) -> float:
    """Train until validation has selected, and return what it found."""
    features = config.model_dump_json(exclude={"losses", "negatives", "dropout", "training"})
    if features not in prepared:  # the same data and features are read and fitted once
        prepared.clear()
        prepared[features] = prepare(config)
    ready = replace(prepared[features], config=config)
    encoders = make_encoders(ready)
    model = new_model(ready, Reporter())
    return train(config, model, make_batches(ready, encoders), validator(ready, encoders)).best


def _with(config: TrainConfig, values: Mapping[str, Any]) -> TrainConfig:
    """Return the configuration with other values."""
    raw = config.model_dump(mode="json", exclude_none=True)
    for path, value in values.items():
        override(raw, f"{path}={json.dumps(value)}", "--search")
    return parse_config(raw, Path("tuned.yaml"))


def _suggest(trial: Trial, path: str, among: Searched) -> Any:
    if not isinstance(among, Span):
        return trial.suggest_categorical(path, among.values)
    if isinstance(among.low, int) and isinstance(among.high, int) and among.step is None:
        return trial.suggest_int(path, among.low, among.high, log=among.is_log)
    return trial.suggest_float(path, among.low, among.high, step=among.step, log=among.is_log)


def _any(among: Searched) -> Any:
    return among.low if isinstance(among, Span) else among.values[0]


def _best(study: optuna.Study) -> FrozenTrial | None:
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return study.best_trial if done else None


def _in_words(trial: FrozenTrial) -> str:
    values = ", ".join(f"{path} {_short(value)}" for path, value in trial.params.items())
    return f"{trial.value:.4f} with {values}" if trial.value is not None else f"no figure: {values}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _write_best(config: TrainConfig, study: optuna.Study, out: Path) -> None:
    text = resolved(_with(config, study.best_params), out)
    part = out / f"{BEST}.part"
    part.write_text(f"# validated at {study.best_value:.4f}\n{text}", encoding="utf-8")
    part.replace(out / BEST)


def _searched(value: object, path: str) -> Iterator[tuple[str, Searched]]:
    """Give what a configuration, or what it holds, says is worth a search."""
    if isinstance(value, Tunable):
        yield from ((f"{path}{name}", among) for name, among in value.searched.items())
    members: Any = enumerate(value) if isinstance(value, tuple) else ()
    if isinstance(value, Strict):
        members = iter(value)
    for key, member in members:
        yield from _searched(member, f"{path}{key}.")
