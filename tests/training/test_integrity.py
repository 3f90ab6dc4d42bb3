"""What a model knows, and what it must not know, on a world whose right answer is known."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from examples.synthetic.generate import generate
from examples.synthetic.truth import measure, oracle, shuffle_cold_content
from export.contract.run import RunLayout
from training.baselines import random_scores
from training.config import read_config
from training.data import read_data
from training.metrics import Scores, dot_scores
from training.prepare import log_of
from training.rows import RowEncoder
from training.run import run_training
from training.split import TRAIN, VALIDATION, make_split
from training.subject import SIDES, RunTowers, embed_all

TRAIN_YAML = Path(__file__).parents[2] / "examples" / "synthetic" / "train.yaml"


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the world that the example's README speaks of."""
    folder = tmp_path_factory.mktemp("example")
    generate(folder)
    return folder


@pytest.fixture(scope="module")
def run(example: Path, tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    config = read_config(TRAIN_YAML, [f"data.folder={example}"])
    return run_training(config, tmp_path_factory.mktemp("runs") / "example")


def scores(run: RunLayout, folder: Path) -> Scores:
    """Score the users and items of a folder by the towers of a run."""
    config = read_config(TRAIN_YAML, [f"data.folder={folder}"])
    data, towers = read_data(config.data, config.user, config.item), RunTowers(run)
    split = make_split(config.split, data, config.data.folder)
    log = log_of(data, split, (TRAIN, VALIDATION))
    return dot_scores(
        *(
            embed_all(towers, side, RowEncoder(towers.schema, side, data, log).raw_records())
            for side in SIDES
        )
    )


def recall(folder: Path, scored: Scores) -> dict[str, float]:
    return {name: found.recall[10] for name, found in measure(folder, scored).items()}


def test_the_example_recalls_what_can_be_known(run: RunLayout, example: Path) -> None:
    found, possible = recall(example, scores(run, example)), recall(example, oracle(example))
    assert found["cold_item"] >= 0.7 * possible["cold_item"]
    assert found["warm"] >= 0.45 * possible["warm"]
    assert found["cold_user"] >= 0.4 * possible["cold_user"]


def test_permuted_cold_content_falls_to_random(
    run: RunLayout, example: Path, tmp_path: Path
) -> None:
    random = recall(example, random_scores(300))["cold_item"]
    permuted = []
    for seed in range(6):
        shuffle_cold_content(example, tmp_path / str(seed), seed=seed)
        folder = tmp_path / str(seed)
        permuted.append(recall(folder, scores(run, folder))["cold_item"])
    assert np.mean(permuted) == pytest.approx(random, abs=0.05)
    assert recall(example, scores(run, example))["cold_item"] > 2 * random


def test_shuffled_cold_ids_change_nothing(run: RunLayout, example: Path, tmp_path: Path) -> None:
    """The cold items trade their ids, in every table: what they are is told by content alone."""
    cold = pq.read_table(example / "cold.parquet")
    ids = cold["id"].filter(pc.equal(cold["kind"], "item")).to_pylist()
    renamed = dict(zip(ids, np.random.default_rng(0).permutation(ids).tolist(), strict=True))
    for name, column in {"items": "item_id", "interactions": "item_id", "cold": "id"}.items():
        table = pq.read_table(example / f"{name}.parquet")
        names = pa.array([renamed.get(one, one) for one in table[column].to_pylist()])
        at = table.schema.get_field_index(column)
        pq.write_table(table.set_column(at, column, names), tmp_path / f"{name}.parquet")
    users = pq.read_table(example / "users.parquet")
    pq.write_table(users, tmp_path / "users.parquet")
    everyone = np.arange(len(users))
    assert (scores(run, tmp_path)(everyone) == scores(run, example)(everyone)).all()
    assert recall(tmp_path, scores(run, tmp_path)) == recall(example, scores(run, example))
