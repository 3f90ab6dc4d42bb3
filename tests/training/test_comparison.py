from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from export.contract.errors import ConfigError
from tests.training.conftest import world_config
from training.comparison import differences, grouped, require_one_recipe, require_same_rows
from training.config import TrainConfig, parse_config
from training.data import read_data
from training.override import override
from training.split import make_split
from training.subject import Subject


def config(folder: Path, *changes: str) -> TrainConfig:
    raw = world_config(folder)
    for change in changes:
        override(raw, change)
    return parse_config(raw, folder / "train.yaml")


def subject(name: str, *changes: str, folder: Path = Path("/nowhere")) -> Subject:
    class NoTowers:
        pass

    return Subject(name, NoTowers(), config(folder, *changes), [])  # type: ignore[arg-type]


def test_differences_name_the_keys() -> None:
    one, other = subject("a"), subject("b", "tower.dim=8", "user.content.age.buckets=4")
    assert differences(one.config, one.config) == []
    assert differences(one.config, other.config) == [
        "user.content.age.buckets: None against 4",
        "tower.dim: 16 against 8",
    ]


def test_seeds_of_one_configuration_are_one_group() -> None:
    runs = [subject("a"), subject("b", "tower.dim=8"), subject("c", "training.seed=2")]
    found = grouped(runs)
    assert {name: [one.name for one in group] for name, group in found.items()} == {
        "a and 1 more": ["a", "c"],
        "b": ["b"],
    }
    assert grouped([]) == {}


def test_only_the_seed_and_where_data_lie_may_differ() -> None:
    require_one_recipe([subject("a"), subject("b", "training.seed=3", folder=Path("/elsewhere"))])
    with pytest.raises(ConfigError, match=r"a and b .*: dropout\.item: 0\.5 against 0\.1; give"):
        require_one_recipe([subject("a"), subject("b", "dropout={item: 0.1}")])


def test_a_copy_of_the_data_in_another_order_has_the_same_rows(world: Path, tmp_path: Path) -> None:
    for path in world.glob("*.parquet"):
        table = pq.read_table(path)
        pq.write_table(table.take(list(range(len(table)))[::-1]), tmp_path / path.name)
    first, copy = subject("a", folder=world), subject("b", folder=tmp_path)
    data = read_data(first.config.data, first.config.user, first.config.item)
    split = make_split(first.config.split, data, world)
    require_same_rows(first, copy, data, split)
    other = subject("c", "split.validation={seed: 9}", folder=tmp_path)
    require_same_rows(first, other, data, split)  # validates otherwise, tests on the same


def test_data_with_a_row_more_are_other_data(world: Path, tmp_path: Path) -> None:
    for path in world.glob("*.parquet"):
        pq.write_table(pq.read_table(path), tmp_path / path.name)
    rows = pq.read_table(world / "interactions.parquet")
    split = rows["split"].to_pylist()
    split[split.index("test")] = "unused"
    at = rows.column_names.index("split")
    pq.write_table(rows.set_column(at, "split", pa.array(split)), tmp_path / "interactions.parquet")
    first, other = subject("a", folder=world), subject("b", folder=tmp_path)
    data = read_data(first.config.data, first.config.user, first.config.item)
    made = make_split(first.config.split, data, world)
    with pytest.raises(ConfigError, match=r"a and b differ in test rows, .*data\.folder: "):
        require_same_rows(first, other, data, made)
