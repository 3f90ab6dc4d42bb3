"""A search in a folder: values are drawn and tried until so many trials are done."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from export.contract.errors import ConfigError
from training.span import Searched, Span

TRIALS, LINES = "trials.log", "trials.jsonl"
DONE = (TrialState.COMPLETE, TrialState.FAIL)
Values = Mapping[str, Any]
Told = Callable[[str], None]


@dataclass(frozen=True)
class Best:
    """The values of the trial whose figure is highest so far."""

    values: Values
    figure: float


@dataclass(frozen=True)
class Search:
    """What is searched, by name, and what the search is of: another one is refused its folder.

    Values are drawn by Optuna's TPE (Bergstra et al., NIPS 2011). `trials.log` in the folder is
    what a stopped search goes on from; `trials.jsonl` tells each trial that is done in a line.
    """

    folder: Path
    space: Mapping[str, Searched]
    of: str
    seed: int = 1

    def run(
        self,
        figure: Callable[[Values], float],
        trials: int,
        told: Told,
        *,
        start: Values | None = None,
        failures: tuple[type[Exception], ...] = (),
        on_trial: Callable[[Best], None] = lambda best: None,
    ) -> Best:
        """Try values until so many trials are done, those of earlier calls included.

        A trial that was broken off is tried anew; one that raises one of `failures` is done,
        without a figure. `start`, if given, is what is tried first. `on_trial` is told the best
        after each, once there is one.

        Raises:
            ConfigError: The folder holds a search of something else, or no trial gave a figure.
        """
        study = self._study()
        if start is not None and not study.get_trials(deepcopy=False):
            study.enqueue_trial(dict(start))

        def tried(trial: Trial) -> float:
            return figure({name: _drawn(trial, name, among) for name, among in self.space.items()})

        def after(study: optuna.Study, trial: FrozenTrial) -> None:
            self._write_lines(study)
            best = _best(study)
            is_best = best is not None and study.best_trial.number == trial.number
            told(
                f"trial {trial.number + 1}: {_in_words(trial)}{'; best so far' if is_best else ''}"
            )
            if best is not None:
                on_trial(best)

        for _ in range(trials - len(study.get_trials(deepcopy=False, states=DONE))):
            study.optimize(tried, n_trials=1, catch=failures, callbacks=[after])
        if (best := _best(study)) is None:
            raise ConfigError(f"{self.folder}: no trial gave a figure; narrow the search")
        return best

    def _study(self) -> optuna.Study:
        """Open the folder's search, or begin one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = JournalStorage(JournalFileBackend(str(self.folder / TRIALS)))
        study = optuna.create_study(
            storage=storage, study_name="tune", direction="maximize", load_if_exists=True
        )
        space = {name: str(one) for name, one in self.space.items()}
        asked = {"run": self.of, "space": space}
        if study.user_attrs.get("asked", asked) != asked:
            raise ConfigError(
                f"{self.folder}: holds a search of another configuration, space or data; use "
                "another --out"
            )
        study.set_user_attr("asked", asked)
        done = len(study.get_trials(deepcopy=False))
        study.sampler = optuna.samplers.TPESampler(seed=self.seed + done)
        return study

    def _write_lines(self, study: optuna.Study) -> None:
        found = study.get_trials(deepcopy=False, states=DONE)
        part = self.folder / f"{LINES}.part"
        part.write_text("".join(f"{json.dumps(_line(one))}\n" for one in found), encoding="utf-8")
        part.replace(self.folder / LINES)


def _drawn(trial: Trial, name: str, among: Searched) -> Any:
    if not isinstance(among, Span):
        return trial.suggest_categorical(name, among.values)
    if isinstance(among.low, int) and isinstance(among.high, int) and among.step is None:
        return trial.suggest_int(name, among.low, among.high, log=among.is_log)
    return trial.suggest_float(name, among.low, among.high, step=among.step, log=among.is_log)


def _best(study: optuna.Study) -> Best | None:
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return None
    return Best(study.best_params, study.best_value)


def _line(trial: FrozenTrial) -> dict[str, Any]:
    took = None if trial.duration is None else trial.duration.total_seconds()
    return {
        "trial": trial.number + 1,
        "figure": trial.value,
        "values": trial.params,
        "seconds": took,
    }


def _in_words(trial: FrozenTrial) -> str:
    values = ", ".join(f"{name} {_short(value)}" for name, value in trial.params.items())
    return f"{trial.value:.4f} with {values}" if trial.value is not None else f"no figure: {values}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
