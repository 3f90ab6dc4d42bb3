"""One world, seen early and seen later: ids and words come and go between the two."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch

from export.contract.run import RunLayout
from tests.once import once
from tests.training.conftest import world_config
from training.config import parse_config
from training.growing.kinship import Kinship
from training.growing.parent import Parent
from training.model import TwoTower
from training.prepare import Prepared, prepare
from training.run import run_training

COLOURS = ("red", "green", "blue", "grey")
TITLES = ("a song of cats", "the cars we drove", "food and games", "travel by chess")


def grown_config(folder: Path) -> dict[str, Any]:
    """Return a configuration with every kind of vocabulary, and every kind of value."""
    raw = world_config(folder)
    raw["split"] = {"kind": "held_out_ids"}
    raw["user"]["content"]["place"] = {"kind": "category", "vocabulary": "hashed", "buckets": 9}
    raw["user"]["context"]["region_tab"] = {"kind": "cross", "of": ["region", "tab"]}
    raw["item"]["content"] |= {
        "title": {"kind": "text", "table": "word"},
        "colour": {"kind": "category", "vocabulary": "given", "words_from": list(COLOURS[:3])},
        "look": {"kind": "vector", "normalise": True},
        "pair": {"kind": "cross", "of": ["maker", "colour"]},
        "mixed": {
            "kind": "cross",
            "vocabulary": "hashed",
            "buckets": 7,
            "of": ["maker", "colour"],
        },
        "weight_kg": {"kind": "number"},
    }
    return raw


def seen_between(
    world: Path, folder: Path, first: float, last: float, scale: float, without: int
) -> None:
    """Write the world as rows from a share of time to another tell of it.

    Every sixth item is not there, counted from `without`; things weigh `scale` times as much.
    """
    folder.mkdir(parents=True)
    rows = pq.read_table(world / "interactions.parquet")
    low, high = np.quantile(rows["timestamp"].to_numpy(), (first, last))
    time = rows["timestamp"]
    rows = rows.filter(pc.and_(pc.greater_equal(time, low), pc.less_equal(time, high)))
    numbers = [int(one.removeprefix("i")) for one in rows["item_id"].to_pylist()]
    rows = rows.filter(pa.array([number % 6 != without for number in numbers]))
    pq.write_table(rows, folder / "interactions.parquet")
    for name in ("user", "item"):
        table = pq.read_table(world / f"{name}s.parquet")
        table = table.filter(pc.is_in(table[f"{name}_id"], rows[f"{name}_id"].combine_chunks()))
        numbers = [
            int("".join(filter(str.isdigit, one))) for one in table[f"{name}_id"].to_pylist()
        ]
        if name == "user":
            table = table.append_column("place", table["region"])
        else:
            more = {
                "title": [f"{TITLES[n % 4]} number {n // 5}" for n in numbers],
                "colour": [COLOURS[n % 4] for n in numbers],
                "look": [[float(n % 3), 1.0, float(n % 7)] for n in numbers],
                "weight_kg": [scale * (1.0 + n % 10) for n in numbers],
            }
            for column, values in more.items():
                table = table.append_column(column, pa.array(values))
        pq.write_table(table, folder / f"{name}s.parquet")


@pytest.fixture(scope="session")
def early(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the world as its first six tenths tell of it."""
    return once(tmp_path_factory, "early", lambda to: seen_between(world, to, 0.0, 0.6, 1.0, 0))


@pytest.fixture(scope="session")
def later(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the world as its last six tenths tell of it; its items weigh more."""
    return once(tmp_path_factory, "later", lambda to: seen_between(world, to, 0.4, 1.0, 3.0, 1))


@pytest.fixture(scope="session")
def first_run(early: Path, tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    """Return a run trained on the early world."""
    raw = grown_config(early)
    raw["losses"].append({"kind": "pointwise", "weight": 0.1})
    config = parse_config(raw, early / "train.yaml")
    return RunLayout(once(tmp_path_factory, "first", lambda out: run_training(config, out)))


def noisy(prepared: Prepared) -> TwoTower:
    """Return a model in which no two weights are alike, as after a training."""
    torch.manual_seed(7)
    model = TwoTower(prepared.config, prepared.schema)
    with torch.no_grad():
        for name, values in model.state_dict().items():
            if values.is_floating_point():
                noise = 0.1 * torch.randn_like(values)
                values.add_(noise.abs() if name.endswith("running_var") else noise)
    return model.eval()


def parent_of(raw: dict[str, Any], early: Path, grown: dict[str, Any], later: Path) -> Parent:
    """Return a run of the early world, as the parent of a configuration of the later one."""
    prepared = prepare(parse_config(raw, early / "train.yaml"))
    config = parse_config(grown, later / "train.yaml")
    return Parent(
        name="first",
        digest="its weights",
        config=prepared.config,
        schema=prepared.schema,
        weights=noisy(prepared).state_dict(),
        kin=Kinship.of(config, prepared.config),
    )


def grown_of(raw: dict[str, Any], later: Path, parent: Parent) -> Prepared:
    """Prepare a configuration that goes on from a parent."""
    return prepare(parse_config(raw, later / "train.yaml"), parent)
