"""The step `keep`: what another machine goes on from, beside the code: trials, and ours by user.

A search that is kept is not made again where it is of the same configuration and data. Of ours
each user's figures are kept, so that whatever is measured later can be compared with it by user.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.quality.case import Case
from benchmarks.quality.models import OURS
from benchmarks.quality.result import Arrays, Result
from training.search import ASKED, LINES, Told


def keep(case: Case, told: Told) -> None:
    """Copy the trials of each scorer, and write each user's figures of ours."""
    for lines in sorted(case.searches.glob(f"*/{LINES}")):
        kept = case.kept / lines.parent.name
        kept.mkdir(parents=True, exist_ok=True)
        for name in (ASKED, LINES):
            shutil.copyfile(lines.with_name(name), kept / name)
        told(f"{case.name}: {kept.name}: {len(lines.read_text('utf-8').splitlines())} trials")
    heads = [OURS, *([f"{OURS}+{case.protocol.head}"] if case.protocol.head else [])]
    for name in heads:
        runs = [Result.read(path) for path in sorted(case.finals.glob(f"{name}-*.json"))]
        if runs:
            case.kept.mkdir(parents=True, exist_ok=True)
            arrays = {key: one.astype(np.float32) for key, one in mean_users(runs).items()}
            np.savez_compressed(case.kept / f"{name}.npz", **arrays)  # type: ignore[arg-type]
            told(f"{case.name}: {name} by user, {len(runs)} seeds")


def kept_users(case: Case, name: str) -> Arrays | None:
    """Return each user's figures of ours as they were kept; None where none are."""
    path: Path = case.kept / f"{name}.npz"
    if not path.is_file():
        return None
    with np.load(path) as arrays:
        return dict(arrays)


def mean_users(runs: Sequence[Result]) -> Arrays:
    """Return by `slice/figure` each user's figure [users], the mean over seeds."""
    shared = set.intersection(*(set(run.users) for run in runs))
    return {key: np.mean([run.users[key] for run in runs], axis=0) for key in sorted(shared)}
