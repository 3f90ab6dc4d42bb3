from pathlib import Path

import pytest

from export.contract.errors import DataError
from tests.training.conftest import world_config
from tests.training.test_digest import everything
from training.config import parse_config
from training.files import check_files, named_files


def test_every_file_comes_with_the_key_that_names_it(world: Path) -> None:
    found = set(named_files(everything(world)))
    assert found >= {
        ("data", "log.csv"),
        ("user.content.region", "regions.txt"),
        ("user.preference.looks.statistic", "looks.parquet"),
        ("item.content.cover", "covers.parquet"),
        ("losses.reconstruction.factors", "wmf_users"),
        ("losses.distillation.teacher", "ease_items"),
    }


def test_files_that_are_there_are_good(world: Path) -> None:
    check_files(parse_config(world_config(world), world / "train.yaml"))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"data": {"folder": ".", "users": "u.csv"}}, "u.csv: no such file, and data names it"),
        ({"split": {"kind": "given", "cold": "c.csv"}}, "c.csv: no such file, and split"),
    ],
)
def test_a_file_that_is_not_there_is_told_with_its_key(
    changes: dict[str, object], told: str, world: Path
) -> None:
    config = parse_config(world_config(world) | changes, world / "train.yaml")
    with pytest.raises(DataError) as caught:
        check_files(config)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("item_factors.parquet", "and user.preference.liked names it: lay it there; `firstsight"),
        ("looks.parquet", "and user.preference.liked names it: lay it there"),
    ],
)
def test_factors_that_are_not_there_are_told_with_what_fits_them(
    file: str, told: str, world: Path
) -> None:
    raw = world_config(world)
    liked = {"kind": "vector", "aggregate": "item_vectors", "vectors": file}
    raw["user"]["preference"]["liked"] = liked
    with pytest.raises(DataError) as caught:
        check_files(parse_config(raw, world / "train.yaml"))
    assert told in str(caught.value)
    assert ("firstsight factors" in str(caught.value)) == ("firstsight" in told)
