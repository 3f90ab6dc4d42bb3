"""Factors know the train rows and nothing else, and are fitted anew only if these changed."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from export.contract.errors import ConfigError, DataError
from tests.training.conftest import world_config
from training.compare import compare
from training.config import TrainConfig, parse_config
from training.data import read_data
from training.factors import Clicks, write_factors
from training.prepare import Prepared, prepare
from training.run import Reporter
from training.span import Choice
from training.split import TEST, TRAIN, VALIDATION, make_split
from training.tune import tune
from training.vectors import VectorFiles

SMALL = {"size": 4, "iterations": 3}
FILES = ("user_factors.parquet", "item_factors.parquet")


@pytest.fixture
def folder(world: Path, tmp_path: Path) -> Path:
    """Return a copy of the world that a test may change."""
    for path in world.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def configured(folder: Path, **factors: Any) -> TrainConfig:
    raw = world_config(folder) | {"factors": SMALL | factors}
    return parse_config(raw, folder / "train.yaml")


def written(folder: Path, out: Path | None = None, **factors: Any) -> list[str]:
    notes: list[str] = []
    write_factors(configured(folder, **factors), out or folder, notes.append)
    return notes


def tables(folder: Path) -> list[pa.Table]:
    return [pq.read_table(folder / name) for name in FILES]


def replaced(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def test_what_validates_and_tests_is_of_no_account(folder: Path) -> None:
    """Other labels and weights there, and other items in test, change no bit of a factor."""
    rows = pq.read_table(folder / "interactions.parquet")
    config = configured(folder)
    data = read_data(config.data, config.user, config.item)
    part = make_split(config.split, data, folder).part
    assert len(part) == len(rows)
    assert {TRAIN, VALIDATION, TEST} <= set(part.tolist())
    written(folder)
    before = tables(folder)

    item = np.array(rows["item_id"].to_pylist())
    item[part == TEST] = item[part == TEST][::-1]
    label = np.where(part == TRAIN, rows["label"].to_numpy(), 1 - rows["label"].to_numpy())
    changed = replaced(replaced(rows, "item_id", item), "label", label)
    weight = np.where(part == TRAIN, 1.0, 9.0)
    changed = changed.append_column("weight", pa.array(weight))
    pq.write_table(changed, folder / "interactions.parquet")
    assert "already" in written(folder)[0]
    for name in FILES:
        (folder / name).unlink()
    written(folder)
    assert all(a.equals(b) for a, b in zip(before, tables(folder), strict=True))


def test_a_train_row_is_of_account(folder: Path) -> None:
    written(folder)
    before = tables(folder)
    rows = pq.read_table(folder / "interactions.parquet")
    clicked = pc.and_(pc.equal(rows["split"], "train"), pc.equal(rows["label"], 1))
    gone = np.flatnonzero(clicked.to_numpy())[:40]
    kept = np.setdiff1d(np.arange(len(rows)), gone)
    pq.write_table(rows.take(kept), folder / "interactions.parquet")
    assert "wrote" in written(folder)[0]
    assert not all(a.equals(b) for a, b in zip(before, tables(folder), strict=True))


def test_only_who_has_a_click_in_training_has_a_factor(folder: Path) -> None:
    (note,) = written(folder)
    rows, cold = (pq.read_table(folder / f"{name}.parquet") for name in ("interactions", "cold"))
    clicked = rows.filter(pc.and_(pc.equal(rows["split"], "train"), pc.equal(rows["label"], 1)))
    for name, table in zip(("user", "item"), tables(folder), strict=True):
        ids = set(table[f"{name}_id"].to_pylist())
        assert ids <= set(clicked[f"{name}_id"].to_pylist())  # validation is carved out of these
        assert not ids & set(cold["id"].to_pylist())
        assert f"{len(ids)} {name}s" in note
    everyone = [pq.read_table(folder / f"{name}s.parquet") for name in ("user", "item")]
    users, items = VectorFiles().read(
        folder, everyone[0]["user_id"].to_pylist(), everyone[1]["item_id"].to_pylist()
    )
    assert users.shape[1] == items.shape[1] == 4
    assert np.isnan(users).any()
    assert np.isnan(items).any()


def test_weights_of_a_pair_add_up_and_a_row_without_weight_is_absent(folder: Path) -> None:
    rows = pq.read_table(folder / "interactions.parquet")
    weight = np.arange(len(rows)) % 4 / 2
    pq.write_table(rows.append_column("weight", pa.array(weight)), folder / "interactions.parquet")
    config = configured(folder)
    data = read_data(config.data, config.user, config.item)
    part = make_split(config.split, data, folder).part
    expected: dict[tuple[int, int], float] = {}
    log = data.interactions
    for row in np.flatnonzero((part == TRAIN) & (log.label > 0) & (weight > 0)).tolist():
        pair = int(log.user[row]), int(log.item[row])
        expected[pair] = expected.get(pair, 0.0) + weight[row]
    found = Clicks.of(config).matrix()
    assert found.shape == (len(data.users), len(data.items))
    assert dict(found.todok().items()) == expected
    assert len(expected) < (part == TRAIN).sum()


def test_factors_of_these_rows_and_options_are_not_fitted_again(folder: Path) -> None:
    assert "wrote" in written(folder)[0]
    stamps = [(folder / name).stat().st_mtime_ns for name in FILES]
    (again,) = written(folder)
    assert "are of these rows and options already" in again
    assert [(folder / name).stat().st_mtime_ns for name in FILES] == stamps
    assert "wrote" in written(folder, size=3)[0]
    (folder / FILES[1]).unlink()
    assert "wrote" in written(folder, size=3)[0]
    (folder / FILES[0]).write_bytes(b"broken off")
    assert "wrote" in written(folder, size=3)[0]


def test_nothing_clicked_is_nothing_to_fit_to(folder: Path) -> None:
    rows = pq.read_table(folder / "interactions.parquet")
    nothing = replaced(rows, "label", np.zeros(len(rows), dtype=np.int8))
    pq.write_table(nothing, folder / "interactions.parquet")
    with pytest.raises(DataError, match="factors: no train row has label 1"):
        written(folder)


def test_files_are_written_where_they_are_asked_for(folder: Path, tmp_path_factory: Any) -> None:
    out = tmp_path_factory.mktemp("elsewhere")
    written(folder, out, files={"users": "u.parquet", "items": "i.parquet"})
    assert sorted(path.name for path in out.iterdir()) == ["i.parquet", "u.parquet"]
    assert not (folder / FILES[0]).exists()


def reading(folder: Path, **factors: Any) -> TrainConfig:
    """Return a configuration of one epoch that reads its own factors."""
    raw = world_config(folder) | {"factors": SMALL | factors}
    raw["user"]["preference"]["liked"] = {
        "kind": "vector",
        "aggregate": "item_vectors",
        "vectors": FILES[1],
    }
    raw["training"] |= {"epochs": 1, "refit": False}
    return parse_config(raw, folder / "train.yaml")


def test_a_search_of_their_size_fits_them_for_each_trial_and_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[int, int]] = []

    def watched(config: TrainConfig) -> Prepared:
        assert config.factors is not None
        wide = len(pq.read_table(folder / FILES[1]).column(1)[0])
        read.append((config.factors.size, wide))
        return prepare(config)

    monkeypatch.setattr("training.tune.prepare", watched)
    told: list[str] = []
    space = {"factors.size": Choice((3, 6))}
    for trials in (3, 4):  # the second call finds what the last trial left
        tune(reading(folder), space, trials, folder / "search", told.append)
    assert {asked for asked, _ in read} == {3, 6}
    assert all(asked == wide for asked, wide in read), "trials read the factors they asked for"
    fitted = {line.split(" numbers")[0].split()[-1] for line in told if " numbers, from" in line}
    assert fitted == {"3", "4", "6"}, "those of the configuration first, which a search is known by"
    lines = (folder / "search" / "trials.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 4


def test_a_comparison_goes_on_after_other_ones_were_written(folder: Path) -> None:
    config, out = {"one": reading(folder)}, folder / "runs"
    found = compare(config, (1,), out, Reporter())
    written(folder, size=5)
    notes: list[str] = []
    assert compare(config, (1,), out, Reporter(note=notes.append)) == found
    assert notes[-1].endswith("one-1: finished before")


def test_a_comparison_of_other_ones_is_refused_before_training(folder: Path) -> None:
    configs = {"small": reading(folder), "large": reading(folder, size=5)}
    with pytest.raises(ConfigError, match="factors: small and large ask for other ones"):
        compare(configs, (1,), folder / "runs", Reporter())
    assert not (folder / "runs").exists()
