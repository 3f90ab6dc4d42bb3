from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.contract.errors import ConfigError
from tests.training.conftest import world_config
from training.config import parse_config
from training.data import read_data
from training.interactions import Interactions
from training.prepare import make_batches, make_encoders, prepare
from training.weights import row_weights

DAY = 86_400.0


@pytest.fixture
def four(world: Path) -> Interactions:
    """Return rows of which the first four are 0, 1, 2 and 30 days old."""
    config = parse_config(world_config(world), world / "train.yaml")
    rows = read_data(config.data, config.user, config.item).interactions
    time = np.zeros(len(rows))
    time[:4] = 100 * DAY - np.array([0, 1, 2, 30]) * DAY
    weight = np.ones(len(rows), dtype=np.float32)
    weight[:4] = [1, 1, 3, 1]
    return replace(rows, timestamp=time, weight=weight)


def test_weight_halves_with_each_half_life_of_age(four: Interactions) -> None:
    found = row_weights(four, np.arange(4), "1d")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [1, 0.5, 3 / 4, 2.0**-30], rtol=1e-6)
    np.testing.assert_allclose(row_weights(four, np.arange(3), "48h")[1], 2**-0.5, rtol=1e-6)


def test_age_is_counted_from_the_newest_row_learned_from(four: Interactions) -> None:
    np.testing.assert_allclose(row_weights(four, np.array([1, 2]), "1d"), [1, 1.5], rtol=1e-6)


def test_without_a_half_life_rows_weigh_what_the_column_says(four: Interactions) -> None:
    assert row_weights(four, np.arange(4), None).tolist() == [1, 1, 3, 1]


def test_without_timestamps_a_half_life_is_refused(four: Interactions) -> None:
    with pytest.raises(ConfigError, match=r"training.half_life: got '1d', .* no timestamp"):
        row_weights(replace(four, timestamp=None), np.arange(4), "1d")


def test_batches_carry_the_weights_of_their_rows(world: Path) -> None:
    raw = world_config(world)
    raw["training"]["half_life"] = "2d"
    prepared = prepare(parse_config(raw, world / "train.yaml"))
    batches = make_batches(prepared, make_encoders(prepared))
    learned = np.flatnonzero(prepared.log.is_train & (prepared.log.label > 0))
    wanted = row_weights(prepared.data.interactions, learned, "2d")
    assert len(np.unique(wanted)) > 1
    for batch in batches.epoch(0):
        np.testing.assert_array_equal(batch.weight.numpy(), wanted[batch.rows])
