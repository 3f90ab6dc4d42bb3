from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.export import load

from export.contract.side import SideName
from tests.training.conftest import world_config
from training.batches import tensors
from training.config import TrainConfig, parse_config
from training.model import SideTower, TwoTower
from training.prepare import Prepared, prepare
from training.program import export_tower
from training.rows import RowEncoder
from training.side_rows import SideRows

SIDES: tuple[SideName, ...] = ("user", "item")


@pytest.fixture(scope="module")
def prepared(world: Path) -> Prepared:
    return prepare(config_of(world))


def config_of(world: Path) -> TrainConfig:
    raw = world_config(world)
    raw["tower"] = {"kind": "additive", "dim": 8, "hidden": [6], "dropout": 0.5}
    return parse_config(raw, world / "train.yaml")


def parts(prepared: Prepared, side: SideName) -> tuple[SideTower, SideRows]:
    torch.manual_seed(3)
    model = TwoTower(prepared.config, prepared.schema)
    for parameter in model.parameters():  # what begins at zero would hide a difference
        torch.nn.init.normal_(parameter, std=0.3)
    encoder = RowEncoder(prepared.schema, side, prepared.data, prepared.log)
    return model.side(side), encoder.entities()


@pytest.mark.parametrize("side", SIDES)
def test_a_program_gives_the_towers_vectors_at_any_batch_and_bag_length(
    prepared: Prepared, tmp_path: Path, side: SideName
) -> None:
    tower, rows = parts(prepared, side)
    tower.train()  # neuron dropout has to be off in the program all the same
    export_tower(tower, rows, tmp_path / "tower.pt2")
    program = load(tmp_path / "tower.pt2").module()
    cold, warm = np.flatnonzero(~rows.present), np.flatnonzero(rows.present)
    for chosen in (warm[:1], cold[:1], np.arange(7), np.arange(len(rows))):
        for length in (0, 1, 9):  # 0: as they are
            inputs = tensors(rows.batch(chosen))
            for name in rows.side.bags if length else ():
                for array in {name, f"{name}.weights"} & inputs.keys():
                    inputs[array] = inputs[array].new_ones((len(chosen), length))
            with torch.no_grad():
                wanted, found = tower(inputs), program(inputs)
            assert found.shape == (len(chosen), 8)
            torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)
            torch.testing.assert_close(found.norm(dim=1), torch.ones(len(chosen)))


def test_one_entity_is_enough_to_export_for_any_batch(prepared: Prepared, tmp_path: Path) -> None:
    tower, rows = parts(prepared, "item")
    alone = replace(rows, entity=rows.entity[:1], present=rows.present[:1])
    export_tower(tower, alone, tmp_path / "tower.pt2")
    program = load(tmp_path / "tower.pt2").module()
    assert program(tensors(rows.batch(np.arange(5)))).shape == (5, 8)
