import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import world_config
from training.config import TrainConfig, parse_config
from training.digest import data_digest, run_digest


def configured(folder: Path, **changed: Any) -> TrainConfig:
    return parse_config(world_config(folder) | changed, folder / "train.yaml")


@pytest.fixture
def elsewhere(world: Path, tmp_path: Path) -> Path:
    return shutil.copytree(world, tmp_path / "elsewhere")


def test_where_the_data_lies_does_not_count(world: Path, elsewhere: Path) -> None:
    assert data_digest(configured(elsewhere)) == data_digest(configured(world))
    assert run_digest(configured(elsewhere)) == run_digest(configured(world))


@pytest.mark.parametrize("table", ["interactions", "users", "items", "cold"])
def test_every_file_that_is_read_counts(world: Path, elsewhere: Path, table: str) -> None:
    shutil.copy(elsewhere / "truth.parquet", elsewhere / f"{table}.parquet")
    assert data_digest(configured(elsewhere)) != data_digest(configured(world))


def test_two_tables_that_change_places_are_other_data(world: Path, elsewhere: Path) -> None:
    (elsewhere / "users.parquet").rename(elsewhere / "items.parquet")
    shutil.copy(world / "items.parquet", elsewhere / "users.parquet")
    assert data_digest(configured(elsewhere)) != data_digest(configured(world))


def test_what_is_not_read_does_not_count(world: Path, elsewhere: Path) -> None:
    (elsewhere / "notes.txt").write_text("beside the tables")
    assert data_digest(configured(elsewhere)) == data_digest(configured(world))


def test_another_configuration_of_the_same_data_is_another_run(world: Path) -> None:
    one, other = configured(world), configured(world, similarity="inner_product")
    assert data_digest(one) == data_digest(other)
    assert run_digest(one) != run_digest(other)
