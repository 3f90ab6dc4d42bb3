"""A search in a folder: values are drawn and tried until so many trials are done."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from export.contract.errors import ConfigError
from training.span import Searched, Span

ASKED, LINES = "search.json", "trials.jsonl"
DONE = (TrialState.COMPLETE, TrialState.FAIL)
SECONDS = "seconds"
"""Where a trial of an earlier call has how long it took."""
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

    Values are drawn by Optuna's TPE (Bergstra et al., NIPS 2011). In the folder `search.json` says
    what is searched, and `trials.jsonl` has a line for each trial that is done: a stopped search
    goes on from these two, wherever they were carried. `begun` is a folder with the trials of an
    earlier search, which one of the same in an empty folder takes over.
    """

    folder: Path
    space: Mapping[str, Searched]
    of: str
    seed: int = 1
    begun: Path | None = None

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
        at the beginning and after each, once there is one.

        Raises:
            ConfigError: The folder holds a search of something else, or no trial gave a figure.
        """
        study = self._study()
        if (best := _best(study)) is not None:
            on_trial(best)
        elif start is not None and not study.get_trials(deepcopy=False):
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
        asked = {"run": self.of, "space": {name: str(one) for name, one in self.space.items()}}
        path, lines = self.folder / ASKED, self.folder / LINES
        if not path.is_file():
            if self.begun is not None and _read(self.begun / ASKED) == asked:
                shutil.copyfile(self.begun / LINES, lines)
            write_whole(path, json.dumps(asked, indent=1) + "\n")
        elif _read(path) != asked:
            raise ConfigError(
                f"{self.folder}: holds a search of another configuration, space or data; use "
                "another --out"
            )
        study = optuna.create_study(direction="maximize")
        if lines.is_file():
            done = [json.loads(one) for one in lines.read_text(encoding="utf-8").splitlines()]
            study.add_trials([self._done(one) for one in done])
        study.sampler = optuna.samplers.TPESampler(seed=self.seed + len(study.trials))
        return study

    def _done(self, line: Mapping[str, Any]) -> FrozenTrial:
        """Return a trial of which a line tells."""
        figure: float | None = line["figure"]
        return create_trial(
            state=TrialState.FAIL if figure is None else TrialState.COMPLETE,
            value=figure,
            params=dict(line["values"]),
            distributions={name: _distribution(self.space[name]) for name in line["values"]},
            user_attrs={SECONDS: line["seconds"]},
        )

    def _write_lines(self, study: optuna.Study) -> None:
        found = study.get_trials(deepcopy=False, states=DONE)
        text = "".join(f"{json.dumps(_line(one))}\n" for one in found)
        write_whole(self.folder / LINES, text)


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there as it was, or whole."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _drawn(trial: Trial, name: str, among: Searched) -> Any:
    kind = _distribution(among)
    if isinstance(kind, CategoricalDistribution):
        return trial.suggest_categorical(name, kind.choices)
    if isinstance(kind, IntDistribution):
        return trial.suggest_int(name, kind.low, kind.high, log=kind.log)
    assert isinstance(kind, FloatDistribution)
    return trial.suggest_float(name, kind.low, kind.high, step=kind.step, log=kind.log)


def _distribution(among: Searched) -> BaseDistribution:
    if not isinstance(among, Span):
        return CategoricalDistribution(among.values)
    if isinstance(among.low, int) and isinstance(among.high, int) and among.step is None:
        return IntDistribution(among.low, among.high, log=among.is_log)
    return FloatDistribution(among.low, among.high, step=among.step, log=among.is_log)


def _best(study: optuna.Study) -> Best | None:
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return None
    return Best(study.best_params, study.best_value)


def _line(trial: FrozenTrial) -> dict[str, Any]:
    took = trial.user_attrs.get(SECONDS)
    if took is None and trial.duration is not None:
        took = trial.duration.total_seconds()
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
