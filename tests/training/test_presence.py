"""The curve of presence shows where preference begins to help, and n is where."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from export.contract.run import RunLayout
from export.contract.side import SideName
from tests.training.conftest import world_config
from tests.training.tables import make_data
from training.config import parse_config
from training.model import TwoTower
from training.prepare import prepare
from training.presence import STEPS, Step, enough, helps, measure_presence, presence_curve
from training.slices import Slices
from training.split import TRAIN, VALIDATION, Split

MANY = 12


def slices() -> Slices:
    """Return validation in which user i clicks item i, all of them warm."""
    everyone = np.arange(MANY)
    data = make_data(everyone, everyone)
    warm = {part: np.zeros(MANY, bool) for part in (VALIDATION, 3)}
    split = Split(np.full(MANY, VALIDATION, np.int8), warm, warm)
    assert TRAIN not in split.part
    return Slices.of(data, split, VALIDATION)


@pytest.mark.parametrize("side", ["user", "item"])
def test_curve_turns_where_preference_begins_to_help(side: SideName) -> None:
    counts = np.array([0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 60, 70])
    right = np.eye(MANY, dtype=np.float32)
    wrong = np.roll(right, 1, axis=0)
    vectors = np.where((counts >= 5)[:, None], right, wrong)
    other: SideName = "item" if side == "user" else "user"
    shown: dict[SideName, np.ndarray] = {side: vectors, other: right}
    hidden = np.where((counts < 5)[:, None], right, wrong)
    curve = presence_curve(slices(), side, counts, shown, hidden, k=1)
    assert [step.least for step in curve] == [1, 2, 3, 5, 8, 50]
    assert [step.pairs for step in curve] == [2, 1, 2, 3, 1, 2]
    for step in curve:
        assert (step.shown > step.hidden) == (step.least >= 5), step
    assert enough(curve) == 5


@pytest.mark.parametrize("side", ["user", "item"])
def test_only_the_entities_of_a_step_are_hidden(side: SideName) -> None:
    counts = np.repeat([1, 50], MANY // 2)
    right = np.eye(MANY, dtype=np.float32)
    nothing = np.zeros_like(right)
    nothing[:, 0] = 0.5
    shown: dict[SideName, np.ndarray] = {"user": right, "item": right}
    for step in presence_curve(slices(), side, counts, shown, nothing, k=1):
        assert step.shown == 1.0
        assert step.hidden < 0.5


def test_where_preference_helps_is_said_in_words() -> None:
    never, first, third = Step(1, 0.2, 0.3, 9), Step(1, 0.4, 0.3, 9), Step(3, 0.4, 0.3, 9)
    assert helps("item", [never]).startswith("item preference helps nobody, however many")
    assert helps("user", [first]) == "user preference helps from the first interaction on"
    assert helps("item", [never, third]) == "item preference helps from 3 interactions on"
    for equal in ([Step(1, 1.0, 1.0, 9)], []):
        assert helps("item", equal).startswith("item preference changes no recall")


def test_preference_that_never_helps_has_no_enough() -> None:
    assert enough([Step(1, 0.2, 0.3, 9), Step(5, 0.3, 0.3, 9)]) is None
    assert enough([]) is None
    assert list(STEPS) == sorted(set(STEPS))


def test_preference_of_each_side_is_shown_and_hidden_whatever_present_when_says(
    world: Path,
) -> None:
    raw = world_config(world)
    raw["item"]["present_when"] = "interactions >= 500"
    prepared = prepare(parse_config(raw, world / "train.yaml"))
    torch.manual_seed(1)
    curves = measure_presence(prepared, TwoTower(prepared.config, prepared.schema), k=10)
    assert curves.keys() == {"user", "item"}
    for curve in curves.values():
        assert sum(step.pairs for step in curve) > 50
        assert any(step.shown != step.hidden for step in curve)


def test_a_run_tells_the_curve_of_each_side(trained: RunLayout) -> None:
    found = json.loads(trained.metrics.read_bytes())["presence"]
    for side in ("user", "item"):
        curve = [Step(**step) for step in found[side]["curve"]]
        assert found[side]["enough"] == enough(curve)
        assert curve
