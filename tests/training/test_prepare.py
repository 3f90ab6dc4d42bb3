from pathlib import Path

import pytest
import torch

from examples.synthetic.generate import generate
from tests.training.conftest import world_config
from training.config import parse_config
from training.model import TwoTower
from training.prepare import make_encoders, prepare, validator
from training.slices import SLICES


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a world of several times as many items as count among the first 100."""
    folder = tmp_path_factory.mktemp("many")
    generate(folder, users=60, items=600, exposures=20, seed=1)
    return folder


@pytest.mark.parametrize("name", SLICES)
def test_validation_selects_by_the_slice_that_alone_has_a_weight(many: Path, name: str) -> None:
    raw = world_config(many)
    raw["training"]["select"] = dict.fromkeys(("warm", "cold_item", "cold_user"), 0) | {name: 2}
    prepared = prepare(parse_config(raw, many / "train.yaml"))
    torch.manual_seed(1)
    figures = validator(prepared, make_encoders(prepared))(
        TwoTower(prepared.config, prepared.schema)
    )
    assert figures["selected"] == pytest.approx(figures[name])
    assert len({figures[one] for one in SLICES}) > 1  # else any slice would do
