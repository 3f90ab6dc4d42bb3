"""Every feature kind on both sides, from tables through training to tower files and back."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from examples.synthetic.generate import generate
from export.contract.bundle import BundleLayout
from export.contract.features import KINDS
from export.contract.run import RunLayout
from export.contract.schema import Schema, read_schema
from export.contract.side import SIDES, Record, SideName
from export.contract.tables import read_records
from export.embedder import Embedder
from tests.export.conftest import export
from tests.once import once

# Columns that the synthetic world has are joined by these, on both sides alike.
ADDED: dict[str, dict[str, Any]] = {
    "photo": {"kind": "vector", "dim": 5},
    "sound": {"kind": "vector", "normalise": True},
    "shop": {"kind": "category", "vocabulary": "hashed", "buckets": 20},
    "marks": {"kind": "tags", "vocabulary": "hashed", "buckets": 9, "table": "mark", "dim": 4},
    "steps": {
        **{"kind": "sequence", "vocabulary": "hashed", "buckets": 9, "table": "mark", "dim": 4},
        "pooling": "attention",
    },
    "colour": {"kind": "category", "vocabulary": "given", "words_from": ["red", "blue"]},
    "title": {"kind": "text", "dim": 6, "max_length": 3},
    "story": {"kind": "text", "vocabulary": "hashed", "buckets": 30},
    "look": {"kind": "cross", "of": ["colour", "shop"], "min_count": 1, "dim": 4},
    "style": {"kind": "cross", "of": ["shop", "colour"], "vocabulary": "hashed", "buckets": 40},
}
CONFIG: dict[str, Any] = {
    "data": {"folder": "data"},
    "split": {"kind": "given", "column": "split", "cold": "cold.parquet"},
    "user": {
        "content": {"region": {"kind": "category", "dim": 3}, "age": {"kind": "number"}, **ADDED},
        "preference": {
            "recent": {"kind": "sequence", "aggregate": "last", "n": 5},
            "taste": {"kind": "tags", "aggregate": "profile", "of": "tags"},
        },
    },
    "item": {
        "content": {
            "tags": {"kind": "tags", "dim": 24},
            "maker": {"kind": "category"},
            "length_s": {"kind": "number", "dim": 2},
            **ADDED,
        },
        "preference": {"viewers": {"kind": "sequence", "aggregate": "last", "n": 5}},
    },
    "tower": {"kind": "additive", "dim": 12, "hidden": [6]},
    "losses": [{"kind": "in_batch_softmax"}],
    "negatives": [{"kind": "in_batch"}],
    "training": {"epochs": 1, "batch": 128, "refit": False},
}


def add_columns(path: Path) -> None:
    """Give the entities of a table the features of `ADDED`, some of them missing."""
    table, rng = pyarrow.parquet.read_table(path), np.random.default_rng(5)

    def column(make: Any, kind: pa.DataType) -> pa.Array:
        cells = [make() if rng.random() < 0.85 else None for _ in range(len(table))]
        return pa.array(cells, kind)

    def some(words: str, most: int) -> list[str]:
        return [str(word) for word in rng.choice(list(words), rng.integers(0, most))]

    columns = {
        "photo": column(lambda: rng.normal(size=4), pa.list_(pa.float32())),
        "sound": column(lambda: rng.integers(0, 2, 3).astype(float), pa.list_(pa.float64(), 3)),
        "shop": column(lambda: f"shop {rng.integers(30)}", pa.string()),
        "marks": column(lambda: sorted(set(some("abcdef", 4))), pa.list_(pa.string())),
        "steps": column(lambda: some("abcdef", 6), pa.list_(pa.string())),
        "title": column(lambda: " ".join(some("ABCDE", 5)), pa.string()),
        "story": column(lambda: "我爱北京 " + ", ".join(some("日本語", 5)), pa.string()),
        "colour": column(lambda: rng.choice(["red", "blue", "green"]), pa.string()),
    }
    for name, values in columns.items():
        table = table.append_column(name, values)
    pyarrow.parquet.write_table(table, path)


def train(root: Path) -> None:
    """Train a run of all kinds, `root/run`."""
    from training.config import parse_config
    from training.run import run_training

    generate(root / "data", users=60, items=50, exposures=12)
    for name in ("users", "items"):
        add_columns(root / "data" / f"{name}.parquet")
    run_training(parse_config(CONFIG, root / "train.yaml"), root / "run")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    return RunLayout(once(tmp_path_factory, "kinds-world", train) / "run")


@pytest.fixture(scope="module")
def layout(run: RunLayout, tmp_path_factory: pytest.TempPathFactory) -> BundleLayout:
    return BundleLayout(once(tmp_path_factory, "kinds-1", lambda target: export(run, target)))


@pytest.fixture(scope="module")
def schema(run: RunLayout) -> Schema:
    return read_schema(run.schema)


def tables(run: RunLayout, schema: Schema, side: SideName) -> list[Record]:
    path = run.users if side == "user" else run.items
    return list(read_records(path, schema.side(side), f"{side}_id").records)


@pytest.mark.parametrize("side", SIDES)
def test_every_kind_stands_on_this_side(schema: Schema, side: SideName) -> None:
    assert all(schema.side(side).of_kind(kind) for kind in KINDS)


@pytest.mark.parametrize("side", SIDES)
def test_every_feature_reaches_the_vector(
    run: RunLayout, layout: BundleLayout, schema: Schema, side: SideName
) -> None:
    embedder = Embedder.open(layout, schema)
    records = tables(run, schema, side)
    present = [True] * len(records)
    whole = embedder.embed(side, records, present)
    for name in schema.side(side).given:
        bare = [{n: v for n, v in record.items() if n != name} for record in records]
        assert np.abs(whole - embedder.embed(side, bare, present)).max() > 1e-4, name


def test_the_config_of_a_run_reads_back(run: RunLayout) -> None:
    from training.config import parse_config, read_config

    asked = parse_config(CONFIG, run.folder.parent / "train.yaml")
    assert read_config(run.config) == asked


@pytest.mark.parametrize("side", SIDES)
def test_records_of_a_run_hold_the_values_that_were_given(
    run: RunLayout, schema: Schema, side: SideName
) -> None:
    given = run.folder.parent / "data" / ("users.parquet" if side == "user" else "items.parquet")
    before = read_records(given, schema.side(side), f"{side}_id").records
    for old, new in zip(before, tables(run, schema, side), strict=True):
        assert {name: new.get(name) for name in ADDED} == {name: old.get(name) for name in ADDED}
