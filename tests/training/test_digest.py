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


def everything(folder: Path) -> TrainConfig:
    """Return a configuration that names a file of its own wherever one can be named."""
    raw = world_config(folder)
    raw["data"] |= {"interactions": "log.csv", "users": "people.csv", "items": "things.csv"}
    raw["user"]["content"]["region"] |= {"vocabulary": "given", "words_from": "regions.txt"}
    raw["user"]["preference"]["looks"] = {
        "kind": "vector",
        "size": 2,
        "aggregate": "item_vectors",
        "vectors": "looks.parquet",
    }
    raw["item"]["content"]["cover"] = {"kind": "vector", "file": "covers.parquet"}
    raw["similarity"] = "inner_product"
    raw["losses"] = [
        {"kind": "reconstruction", "factors": {"users": "wmf_users", "items": "wmf_items"}},
        {"kind": "distillation", "teacher": {"users": "ease_users", "items": "ease_items"}},
    ]
    raw["item"]["content"]["title"] = {
        "kind": "text",
        "vocabulary": "given",
        "words_from": "title_words.txt",
        "vectors": "title.vec",
    }
    raw["item"]["content"]["color"] = {
        "kind": "category",
        "vocabulary": "given",
        "words_from": ["a_word", "x" * 300],
    }
    raw["split"] = {
        "kind": "given",
        "files": {"train": ["train_1", "train_2"], "validation": "validation", "test": "test"},
        "cold": "cold",
        "candidates": {"all": "candidates_all", "cold_item": "candidates_cold"},
        "mask": {"warm": "mask_warm"},
    }
    raw["negatives"] = [{"kind": "in_batch"}, {"kind": "given", "file": "negatives", "n": 2}]
    return parse_config(raw, folder / "train.yaml")


FILES = [
    *("log.csv", "people.csv", "things.csv", "regions.txt", "looks.parquet", "title_words.txt"),
    *("title.vec", "train_1", "train_2", "validation", "test", "cold", "candidates_all"),
    *("candidates_cold", "mask_warm", "negatives", "covers.parquet", "wmf_users", "wmf_items"),
    *("ease_users", "ease_items"),
]


def said(value: Any) -> set[str]:
    """Return every text of a configuration, and the names of its members."""
    if isinstance(value, dict):
        return set(value).union(*(said(member) for member in value.values()))
    if isinstance(value, list):
        return set().union(*(said(member) for member in value))
    return {value} if isinstance(value, str) else set()


@pytest.mark.parametrize("file", FILES)
def test_each_file_that_can_be_named_counts(tmp_path: Path, file: str) -> None:
    before = data_digest(everything(tmp_path))
    (tmp_path / file).write_text("one")
    there = data_digest(everything(tmp_path))
    (tmp_path / file).write_text("other")
    assert len({before, there, data_digest(everything(tmp_path))}) == 3


def test_no_other_text_of_a_configuration_is_a_file(tmp_path: Path) -> None:
    config = everything(tmp_path)
    before = data_digest(config)
    texts = {one for one in said(config.model_dump(mode="json")) if "/" not in one}
    others = [one for one in texts - set(FILES) if len(one) < 200]
    assert {"a_word", "region", "given"} <= set(others)
    for name in others:
        (tmp_path / name).write_text("of the same name")
    assert data_digest(config) == before


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
