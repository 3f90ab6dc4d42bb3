"""The step `final`: every scorer as it was selected, fitted to all train rows, on the test."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks.quality.case import Case
from benchmarks.quality.known import Fitted, Known
from benchmarks.quality.models import MODELS, final_config, train_model
from benchmarks.quality.result import Result, is_written
from benchmarks.quality.rivals import RIVALS
from benchmarks.quality.rivals.base import Rival
from benchmarks.quality.select import selected
from training.digest import data_digest, run_digest
from training.parts import TEST
from training.search import Told


def final(case: Case, names: set[str], seeds: Sequence[int], told: Told) -> None:
    """Measure these scorers; what is there of the same options and data is left as it is.

    Raises:
        ConfigError: A scorer has not been selected.
    """
    known = Known.of(case, TEST)
    data = data_digest(known.config)
    for rival in RIVALS:
        if rival.name in names and rival.suits(known):
            for seed in seeds if rival.is_random else seeds[:1]:
                _final_rival(case, rival, known, seed, data, told)
    for name in MODELS:
        if name in names:
            for seed in seeds:
                _final_model(case, name, known, seed, told)


def fit_rival(case: Case, rival: Rival, known: Known, seed: int) -> Fitted:
    """Fit a rival with the options that it was selected with."""
    return rival.fit(known, dict(selected(case, rival.name)), seed, lambda one: selected(case, one))


def _final_rival(case: Case, rival: Rival, known: Known, seed: int, data: str, told: Told) -> None:
    options = dict(selected(case, rival.name))
    leans = dict(selected(case, rival.needs)) if rival.needs else {}
    made_of = _digest([options, leans, data])
    if is_written(case.finals, rival.name, seed, made_of):
        return
    began = time.monotonic()
    fitted = fit_rival(case, rival, known, seed)
    _write(case, Result.of(fitted, known, rival.name, seed, options), made_of, began, told)


def _final_model(case: Case, name: str, known: Known, seed: int, told: Told) -> None:
    config = final_config(case, name, seed)
    made_of = run_digest(config)
    if is_written(case.finals, name, seed, made_of):
        return
    began = time.monotonic()
    for kind, fitted in train_model(config, case.runs / f"{name}-{seed}", known, told).items():
        result = Result.of(fitted, known, f"{name}{kind}", seed, {})
        _write(case, result, made_of, began, told)


def _write(case: Case, result: Result, made_of: str, began: float, told: Told) -> None:
    result = replace(result, seconds=time.monotonic() - began)
    result.write(case.finals, made_of)
    for name in case.protocol.slices:
        found = result.figures.get(name, {})
        figures = [(one, found.get(one)) for one in case.protocol.figures]
        line = ", ".join(f"{one} {value:.4f}" for one, value in figures if value is not None)
        told(f"{case.name}: {result.scorer}-{result.seed}: {name}: {line}")


def _digest(made_of: Any) -> str:
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
