"""A result: what one scorer in one seed was found to do, kept as a file each."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.known import Fitted, Known
from training.figures import figure
from training.parts import TEST

KS = (10, 20, 100)
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Result:
    """Figures by slice, and those of single users, from which intervals are made.

    `figures` holds recall@k and ndcg@k, `users` and `pairs`, and `gauc` where rows were shown
    and not clicked. `users` holds, by `slice/figure`, each user's, in the order of users that
    all scorers share; `slice/rows` are the weights of `slice/gauc`.
    """

    scorer: str
    seed: int
    options: dict[str, Any]
    seconds: float
    figures: dict[str, dict[str, float | None]]
    users: Arrays

    @classmethod
    def of(
        cls, fitted: Fitted, known: Known, scorer: str, seed: int, options: dict[str, Any]
    ) -> "Result":
        """Measure a scorer on the test rows."""
        assert known.part == TEST
        figures: dict[str, dict[str, float | None]] = {}
        users: Arrays = {}
        if fitted.scores is not None:
            _add_ranks(fitted, known, figures, users)
        if len(np.unique(known.data.interactions.label[known.ground.tests])) > 1:
            _add_gauc(fitted, known, figures, users)
        return cls(scorer, seed, options, 0.0, figures, users)

    def write(self, folder: Path, made_of: str) -> None:
        """Write it; `made_of` says of which options and data it is."""
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{self.scorer}-{self.seed}"
        arrays: dict[str, Any] = dict(self.users)
        np.savez_compressed(folder / f"{stem}.npz", **arrays)
        told = {
            "scorer": self.scorer,
            "seed": self.seed,
            "made_of": made_of,
            "options": self.options,
            "seconds": self.seconds,
            "figures": self.figures,
        }
        part = folder / f"{stem}.part"
        part.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        part.replace(folder / f"{stem}.json")

    @classmethod
    def read(cls, path: Path) -> "Result":
        """Read one from its JSON file and what lies beside it."""
        told = json.loads(path.read_text(encoding="utf-8"))
        told.pop("made_of")
        with np.load(path.with_suffix(".npz")) as arrays:
            return cls(**told, users=dict(arrays))


def is_written(folder: Path, scorer: str, seed: int, made_of: str) -> bool:
    """Say whether a result of these options and data is there."""
    path = folder / f"{scorer}-{seed}.json"
    return path.is_file() and json.loads(path.read_text("utf-8"))["made_of"] == made_of


def _add_ranks(fitted: Fitted, known: Known, figures: dict[str, Any], users: Arrays) -> None:
    assert fitted.scores is not None
    for name, found in known.measure(fitted.scores, KS).items():
        told = figures.setdefault(name, {})
        told |= {"users": found.users, "pairs": found.pairs, "left_out": found.pairs_left_out}
        for k in KS:
            told |= {f"recall@{k}": figure(found.recall[k]), f"ndcg@{k}": figure(found.ndcg[k])}
            users[f"{name}/recall@{k}"] = found.per_user.recall[k]
            users[f"{name}/ndcg@{k}"] = found.per_user.ndcg[k]


def _add_gauc(fitted: Fitted, known: Known, figures: dict[str, Any], users: Arrays) -> None:
    if fitted.rows is not None:
        scores = fitted.rows(known.ground.tests)
    else:
        assert fitted.scores is not None
        scores = known.ground.row_scores(fitted.scores)
    orders = known.ground.orders(scores)
    for name, found in known.ground.gaucs(scores).items():
        if found.users:
            figures.setdefault(name, {}).update(gauc=found.value, auc=orders[name]["auc"])
            users[f"{name}/gauc"] = found.per_user.auc
            users[f"{name}/rows"] = found.per_user.rows
