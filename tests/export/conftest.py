"""Bundles that all tests of this room read: a tiny one made by hand, and one of a real run."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from examples.synthetic.generate import generate
from export.contract.run import RunLayout
from tests.export.forged import copied
from tests.once import once
from tests.tiny import tiny_bundle
from tests.tiny_ranker import tiny_ranker

# Two features are called as the exporter calls tensors of its own.
CONFIG: dict[str, Any] = {
    "data": {"folder": "data"},
    "split": {"kind": "given", "column": "split", "cold": "cold.parquet"},
    "user": {
        "content": {"region": {"kind": "category"}, "age": {"kind": "number", "buckets": 4}},
        "context": {"tab": {"kind": "category"}},
        "preference": {
            "val_1": {"kind": "sequence", "aggregate": "last", "n": 5, "table": "item"},
            "add": {"kind": "tags", "aggregate": "profile", "of": "tags", "table": "tag"},
            "rate": {"kind": "number", "aggregate": "rate", "smoothing": 5},
            "looks": {"kind": "vector", "aggregate": "item_vectors", "vectors": "looks.parquet"},
        },
    },
    "item": {
        "content": {
            "tags": {"kind": "tags", "table": "tag"},
            "maker": {"kind": "category"},
            "length_s": {"kind": "number", "log1p": True},
            "maker_rate": {"kind": "number", "aggregate": "rate", "by": "maker"},
        },
        "preference": {
            "own_id": {"kind": "category", "aggregate": "identity", "table": "item"},
            "shown": {"kind": "number", "aggregate": "count", "clip": [0, 20]},
        },
        "present_when": "interactions >= 4",
    },
    "tower": {"kind": "additive", "dim": 16, "hidden": [8]},
    "losses": [{"kind": "in_batch_softmax", "temperature": 0.1}],
    "negatives": [{"kind": "in_batch"}],
    "training": {"epochs": 2, "batch": 128},
    "ranker": {"kind": "din", "dim": 8, "hidden": [8], "epochs": 1, "baseline": False},
}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle nobody may change."""
    return tiny_bundle(tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="session")
def tiny_ranked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a hand-made ranker that nobody may change."""
    return tiny_bundle(tmp_path_factory.mktemp("ranked"), "ranked-1", ranker=tiny_ranker)


@pytest.fixture
def spoilt(tiny: Path, tmp_path: Path) -> Path:
    """A bundle of one's own."""
    return copied(tiny, tmp_path)


def write_world(root: Path) -> None:
    """Write the data that CONFIG reads, `root/data`."""
    generate(root / "data", users=80, items=60, exposures=12)
    ids = pq.read_table(root / "data" / "items.parquet").column("item_id")[10:]
    looks = np.random.default_rng(3).standard_normal((len(ids), 4)).astype(np.float32)
    looks_of = pa.table({"item_id": ids, "vector": list(looks)})
    pq.write_table(looks_of, root / "data" / "looks.parquet")


def train(root: Path) -> None:
    """Train a small run, `root/run`."""
    from training.config import parse_config  # torch, which few tests of this room need
    from training.run import run_training

    write_world(root)
    run_training(parse_config(CONFIG, root / "train.yaml"), root / "run")


def export(run: RunLayout, target: Path) -> None:
    """Export a run."""
    from export.bundling import export_run

    export_run(run.folder, target)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    """A run nobody may change."""
    return RunLayout(once(tmp_path_factory, "export-world", train) / "run")


@pytest.fixture(scope="session")
def exported(run: RunLayout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of that run, with every item."""
    return once(tmp_path_factory, "exported-1", lambda target: export(run, target))


def export_by_command(run: RunLayout, target: Path) -> None:
    """Export what training saw, and keep what the command told as `told.txt` beside it."""
    import firstsight

    command = [
        "export",
        str(run.folder),
        "--out",
        str(target),
        "--users",
        "--log-id",
        "1732000000000-0",
        "--catalogue",
        "trained",
    ]
    target.parent.mkdir()
    with (target.parent / "told.txt").open("w") as told, contextlib.redirect_stdout(told):
        assert firstsight.run(command) == 0


@pytest.fixture(scope="session")
def commanded(run: RunLayout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the items that training saw, with users, made by `firstsight export`."""
    return once(
        tmp_path_factory,
        "commanded",
        lambda folder: export_by_command(run, folder / "trained-1"),
    )
