"""A loss, a tower and a kind of negatives are each one file, and the line that lists it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from tests.training.conftest import world_config

ROOT = Path(__file__).parents[2]
LOSS = '''"""Cosine pulled above that of the warm view, by a strength that is learned."""

from typing import Literal

import torch
from torch import Tensor, nn

from training.losses.base import LossKind, Scored, weighted_mean


class Pull(LossKind):
    """(1 + warm score - score) ^ 2 of clicked rows, times a learned strength."""

    kind: Literal["pull"] = "pull"
    begin: float = 2.0

    @property
    def needs_warm_view(self) -> bool:
        return True

    def build(self) -> nn.Module:
        return Pulled(self.begin)


class Pulled(nn.Module):
    def __init__(self, begin: float) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.tensor(begin))

    def forward(self, batch: Scored) -> Tensor:
        warm = batch.warm.scores.gather(1, batch.own.unsqueeze(1)).squeeze(1)
        off = (1 + warm - batch.own_scores)[batch.is_positive] ** 2
        return self.strength * weighted_mean(off, batch.weight[batch.is_positive])
'''
ASKING = '''"""A loss that asks for what no score holds."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from training.losses.base import FormulaLoss, Scored


class Faint(FormulaLoss):
    """Squares of augmented vectors, of the items that have a category."""

    needs_augmented: ClassVar[bool] = True

    kind: Literal["faint"] = "faint"
    of: str

    @property
    def categories(self) -> tuple[str, ...]:
        return (self.of,)

    def __call__(self, batch: Scored) -> Tensor:
        known = batch.categories[self.of] > 2
        return batch.item_augmented.vectors[known & batch.item_augmented.is_own].square().sum()
'''
TOWER = '''"""A tower of one linear map."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from training.towers.base import TowerKind


class LinearConfig(TowerKind):
    """One map of all groups, augmented vectors among them; absent preference is zeros."""

    takes_augmented: ClassVar[bool] = True

    kind: Literal["linear"] = "linear"
    dim: int = 8
    embedding: int = 16

    def build(self, widths: Mapping[str, tuple[int, ...]]) -> nn.Module:
        return Linear(self.dim, widths)


class Linear(nn.Module):
    def __init__(self, dim: int, widths: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        self.map = nn.Linear(sum(map(sum, widths.values())), dim)

    def forward(self, groups: Mapping[str, Tensor], present: Tensor | None) -> Tensor:
        known = dict(groups)
        if present is not None:
            known["preference"] = known["preference"] * present
        return self.map(torch.cat(list(known.values()), dim=1))
'''
NEGATIVES = '''"""The row before, and no other."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from training.negatives.base import Drawn, Floats, Indices, NegativeKind, Shown, Source


class Neighbour(NegativeKind):
    """Each row against the one before it."""

    kind: Literal["neighbour"] = "neighbour"

    def source(self, shown: Shown) -> Source:
        return Before(shown.frequency)


@dataclass(frozen=True)
class Before:
    law: Floats

    def draw(self, rows: Indices, rng: np.random.Generator) -> Drawn:
        return Drawn.of_batch(np.roll(np.eye(len(rows), dtype=bool), -1, axis=1), 1)
'''
ADDED = [  # the family, the file, its text, the class, and the member beside which it is listed
    ("losses", "pull", LOSS, "Pull", "| Pointwise"),
    ("losses", "faint", ASKING, "Faint", "| Pointwise"),
    ("towers", "linear", TOWER, "LinearConfig", "| DropoutNetConfig"),
    ("negatives", "neighbour", NEGATIVES, "Neighbour", "| Given"),
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The rooms that train, with a member added to each family."""
    for name in ("training", "export"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "firstsight.py", tmp_path)
    for family, name, text, title, beside in ADDED:
        folder = tmp_path / "training" / family
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
        listed = (folder / "__init__.py").read_text("utf-8")
        assert listed.count(beside) == 1
        listed = listed.replace(beside, f"{beside} | {title}")
        before, first, rest = listed.partition(f"from training.{family}")
        line = f"from training.{family}.{name} import {title}\n"
        (folder / "__init__.py").write_text(before + line + first + rest, encoding="utf-8")
    return tmp_path


def test_a_member_of_each_family_is_trained_with_from_one_file_and_its_line(
    project: Path, world: Path
) -> None:
    raw = world_config(world) | {
        "losses": [
            {"kind": "in_batch_softmax"},
            {"kind": "pull", "begin": 3},
            {"kind": "faint", "of": "maker"},
        ],
        "tower": {"kind": "linear", "dim": 4},
        "negatives": [{"kind": "neighbour"}, {"kind": "mixed", "n": 8}],
    }
    for side in ("user", "item"):
        own = {"kind": "category", "aggregate": "identity", "dim": 4}
        raw[side]["preference"]["own_id"] = own
    raw["training"] |= {"epochs": 1}
    (project / "train.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    command = [
        "firstsight.py",
        "train",
        "train.yaml",
        "--out",
        "run",
        "--set",
        "losses.pull.begin=5",
    ]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load((project / "run" / "config.yaml").read_text("utf-8"))
    assert config["losses"][1] == {"weight": 1.0, "kind": "pull", "begin": 5.0}
    assert config["tower"] == {"kind": "linear", "dim": 4, "embedding": 16}
    weights = torch.load(project / "run" / "weights.pt")
    strength = weights["losses.1.strength"].item()
    assert 4 < strength < 5  # learned from 5 on: the less of it, the less loss
    assert weights["item.tower.map.weight"].shape[0] == 4
    user, item = (weights[f"{side}.augmented.table.weight"][3:].norm() for side in ("user", "item"))
    assert item < 0.8 * user  # what `faint` presses and what it does not, equally long at first
