"""Tuning: the options of a configuration that validate best, by a number of trials."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from export.contract.errors import ConfigError
from export.contract.strict import Strict
from training.checkpoint import resolved
from training.config import TrainConfig, parse_config
from training.digest import run_digest
from training.factors import fit_factors
from training.loop import NotFinite, train
from training.override import override
from training.prepare import Prepared, make_batches, make_encoders, prepare, validator
from training.run import Reporter, new_model
from training.search import ASKED, Best, Search, Told, write_whole
from training.span import Searched, Span

__all__ = ["ASKED", "BEST", "Tunable", "search_space", "tune"]

BEST = "best.yaml"


@runtime_checkable
class Tunable(Protocol):
    """A part of a configuration that says which of its options are worth a search."""

    searched: Mapping[str, Span]


def search_space(config: TrainConfig) -> dict[str, Searched]:
    """Return what the parts of a configuration say is worth a search, by path."""
    return dict(_searched(config, ""))


def tune(
    config: TrainConfig,
    space: Mapping[str, Searched],
    trials: int,
    out: Path,
    told: Told,
    begun: Path | None = None,
) -> TrainConfig:
    """Try values until so many trials are done, and return the configuration that validated best.

    A trial trains as `train` does up to its selection, and is worth the selected epoch's figure
    on validation; test rows are not looked at, nor is validation trained on. Trials are kept in
    `out`, so that the same call goes on after a stop; one that was broken off is tried anew, one
    whose loss is no number any more counts as done. `best.yaml` there is written after each.

    Args:
        config: What stays as it is.
        space: What is searched, by path, as `--set` has it.
        trials: How many in all, those of an earlier call included.
        out: The folder of the search; made if it is not there.
        told: Is told each trial's figure and values, and of the factors it is given.
        begun: A folder with trials of the same search, which an empty `out` begins with.

    Raises:
        ConfigError: Nothing is searched, a path leads nowhere, the folder holds a search of
            another configuration, space or data, or every trial failed.
    """
    if not space:
        raise ConfigError("nothing to search: give --search PATH=LOW..HIGH")
    _with(config, {path: _any(among) for path, among in space.items()})  # paths lead somewhere
    fit_factors(config, told)  # a search is known by the data it began with
    prepared: dict[str, Prepared] = {}
    best = Search(out, space, run_digest(config), config.training.seed, begun).run(
        lambda values: _figure(_with(config, values), prepared, told),
        trials,
        told,
        failures=(NotFinite,),
        on_trial=lambda best: _write_best(config, best, out),
    )
    return _with(config, best.values)


def _figure(config: TrainConfig, prepared: dict[str, Prepared], told: Told) -> float:
    """Train until validation has selected, and return what it found."""
    features = config.model_dump_json(exclude={"losses", "negatives", "dropout", "training"})
    if features not in prepared:  # the same data and features are read and fitted once
        prepared.clear()
        fit_factors(config, told)
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
    return parse_config(raw, Path("--search"))


def _any(among: Searched) -> Any:
    return among.low if isinstance(among, Span) else among.values[0]


def _write_best(config: TrainConfig, best: Best, out: Path) -> None:
    text = resolved(_with(config, best.values), out)
    write_whole(out / BEST, f"# validated at {best.figure:.4f}\n{text}")


def _searched(value: object, path: str) -> Iterator[tuple[str, Searched]]:
    """Give what a configuration, or what it holds, says is worth a search."""
    if isinstance(value, Tunable):
        yield from ((f"{path}{name}", among) for name, among in value.searched.items())
    members: Any = enumerate(value) if isinstance(value, tuple) else ()
    if isinstance(value, Strict):
        members = iter(value)
    for key, member in members:
        yield from _searched(member, f"{path}{key}.")
