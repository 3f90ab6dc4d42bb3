"""The step `select`: every model and rival tries as many options, on validation alone."""

import json

from benchmarks.quality.case import Case
from benchmarks.quality.known import Known
from benchmarks.quality.models import MODELS, select_model
from benchmarks.quality.rivals import RIVALS
from benchmarks.quality.rivals.base import Rival
from export.contract.errors import ConfigError
from training.digest import data_digest
from training.parts import VALIDATION
from training.search import Best, Search, Told, Values

VALUES = "best.json"
SEED = 1


def select(case: Case, names: set[str], trials: int, told: Told) -> None:
    """Search the options of these scorers, in the order of the tables.

    Only the case's train folder is read, which holds no row that tests. A search that was
    stopped goes on; one that has its trials is left as it is.

    Raises:
        ConfigError: A scorer needs another one selected first.
    """
    known = Known.of(case, VALIDATION)
    for rival in RIVALS:
        if rival.name in names and rival.suits(known):
            told(f"{case.name}: {rival.name}")
            _select_rival(case, rival, known, trials, told)
    other = case.protocol.selected_on
    for name in MODELS:
        if name in names and other:
            told(f"{case.name}: {name}: as selected on {other}")
        elif name in names:
            told(f"{case.name}: {name}")
            select_model(case, name, trials, lambda one: selected(case, one), told)


def selected(case: Case, name: str) -> Values:
    """Return the options that a rival was selected with.

    Raises:
        ConfigError: It has not been selected.
    """
    path = case.searches / name / VALUES
    if not path.is_file():
        raise ConfigError(f"{name}: not selected yet ({path} is missing); run the step select")
    found: Values = json.loads(path.read_text(encoding="utf-8"))
    return found


def _select_rival(case: Case, rival: Rival, known: Known, trials: int, told: Told) -> None:
    folder, space = case.searches / rival.name, rival.space(known)
    if not space:
        folder.mkdir(parents=True, exist_ok=True)
        _write(case, rival, Best({}, float("nan")))
        told("nothing to tune")
        return

    def figure(values: Values) -> float:
        return known.figure(rival.fit(known, values, SEED, lambda one: selected(case, one)))

    of = json.dumps([rival.name, data_digest(known.config)])
    search = Search(folder, space, of, SEED, case.kept / rival.name)
    best = search.run(figure, trials, told, start=rival.start(known))
    _write(case, rival, best)


def _write(case: Case, rival: Rival, best: Best) -> None:
    path = case.searches / rival.name / VALUES
    path.write_text(json.dumps(dict(best.values)) + "\n", encoding="utf-8")
