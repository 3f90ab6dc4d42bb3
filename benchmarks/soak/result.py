"""Results in a folder, one JSON document a scenario: what a stopped run goes on from."""

import json
import shutil
from pathlib import Path

from benchmarks.soak.scenario import Figures, Say, Scenario, result_of


def run_kept(scenario: Scenario, out: Path, say: Say) -> Figures:
    """Return a scenario's result: the kept one, if it passed with these parameters, else a new one.

    Its working folder is kept where a promise was broken, for the service's log is in it.
    """
    path = out / f"{scenario.name}.json"
    kept = read_result(path)
    if kept and not kept["faults"] and kept["parameters"] == json.loads(scenario.model_dump_json()):
        say(f"{scenario.name}: has passed before, see {path}")
        return kept
    work = out / "work" / scenario.name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    found = result_of(scenario, work, say)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
    if not found["faults"]:
        shutil.rmtree(work)
    return found


def read_result(path: Path) -> Figures | None:
    """Return a kept result; None if there is none."""
    if not path.is_file():
        return None
    found: Figures = json.loads(path.read_text(encoding="utf-8"))
    return found
