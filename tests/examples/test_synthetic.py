from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from examples.synthetic.generate import COLD_SHARE, DAY_S, START_S, TABS, TRAIN_DAYS, generate
from examples.synthetic.truth import SLICES, measure, oracle, shuffle_cold_content
from training.auc import auc
from training.baselines import (
    ItemWords,
    content_neighbours,
    popularity_counts,
    popularity_scores,
    random_scores,
)
from training.metrics import Scores, UserItems

TABLES = ("interactions", "users", "items", "cold", "truth")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    generate(folder)
    return folder


def read(folder: Path, name: str) -> pa.Table:
    return pq.read_table(folder / f"{name}.parquet")


def indices(folder: Path, kind: str) -> np.ndarray:
    ids = read(folder, f"{kind}s")[f"{kind}_id"].to_pylist()
    at = {name: index for index, name in enumerate(ids)}
    return np.array([at[name] for name in read(folder, "interactions")[f"{kind}_id"].to_pylist()])


def content_scores(folder: Path) -> Scores:
    rows, items = read(folder, "interactions"), read(folder, "items")
    liked = (rows["label"].to_numpy() == 1) & (rows["split"].to_numpy() == "train")
    item = indices(folder, "item")
    users = read(folder, "users").num_rows
    words = ItemWords({name: items[name].to_pylist() for name in ("tags", "maker")})
    popular = popularity_scores(popularity_counts(item, liked, items.num_rows))
    pairs = UserItems.from_pairs(indices(folder, "user")[liked], item[liked], users)
    return content_neighbours(words, pairs, popular)


def recall(folder: Path, scores: Scores) -> dict[str, float]:
    return {name: found.recall[10] for name, found in measure(folder, scores).items()}


def test_a_seed_is_one_world(world: Path, tmp_path: Path) -> None:
    generate(tmp_path / "same")
    generate(tmp_path / "other", seed=2)
    for name in TABLES:
        assert read(tmp_path / "same", name).equals(read(world, name))
        assert not read(tmp_path / "other", name).equals(read(world, name))


def test_sizes_are_as_asked(tmp_path: Path) -> None:
    generate(tmp_path, users=40, items=100, exposures=7, seed=3)
    assert read(tmp_path, "users").num_rows == 40
    assert read(tmp_path, "items").num_rows == 100
    assert read(tmp_path, "interactions").num_rows == 40 * 10 + 34 * 7
    cold = read(tmp_path, "cold")["kind"].to_pylist()
    assert (cold.count("user"), cold.count("item")) == (40 * COLD_SHARE, 100 * COLD_SHARE)


def test_cold_users_and_items_have_no_train_row_and_some_test_rows(world: Path) -> None:
    rows = read(world, "interactions")
    cold = set(zip(*read(world, "cold").to_pydict().values(), strict=True))
    assert len(cold) == 60 + 45
    seen: dict[str, set[tuple[str, str]]] = {"train": set(), "test": set()}
    for row in rows.to_pylist():
        seen[row["split"]] |= {("user", row["user_id"]), ("item", row["item_id"])}
    assert not cold & seen["train"]
    assert {pair for pair in cold if pair[0] == "user"} <= seen["test"]
    assert len(cold & seen["test"]) > 100


def test_no_user_is_shown_an_item_twice(world: Path) -> None:
    rows = read(world, "interactions")
    assert rows.group_by(["user_id", "item_id"]).aggregate([]).num_rows == len(rows)


def test_order_follows_time_and_test_comes_after_train(world: Path) -> None:
    rows = read(world, "interactions")
    user, time, order = (rows[name].to_numpy() for name in ("user_id", "timestamp", "order"))
    same = user[1:] == user[:-1]
    assert len(set(user)) == 1 + int((~same).sum())
    assert np.array_equal(np.diff(order)[same], (np.diff(time)[same] > 0).astype(int))
    assert (np.append(order[0], order[1:][~same]) == 0).all()
    is_train = rows["split"].to_numpy() == "train"
    boundary = START_S + TRAIN_DAYS * DAY_S
    assert time[is_train].max() <= boundary <= time[~is_train].min()


def test_tab_shifts_how_often_items_are_liked(world: Path) -> None:
    rows = read(world, "interactions")
    tab, label = rows["tab"].to_numpy(), rows["label"].to_numpy()
    rate = {name: label[tab == name].mean() for name in TABS}
    assert rate["search"] + 0.05 < rate["feed"] < rate["friends"] - 0.05


def test_labels_follow_the_affinity(world: Path) -> None:
    affinity = oracle(world)(np.arange(400))
    shown = affinity[indices(world, "user"), indices(world, "item")]
    assert auc(shown, read(world, "interactions")["label"].to_numpy()) > 0.85


def test_oracle_leaves_room_above_random_and_popular_on_every_slice(world: Path) -> None:
    best, chance = recall(world, oracle(world)), recall(world, random_scores(300))
    popular = recall(
        world,
        popularity_scores(
            popularity_counts(
                indices(world, "item"),
                (read(world, "interactions")["label"].to_numpy() == 1)
                & (read(world, "interactions")["split"].to_numpy() == "train"),
                300,
            )
        ),
    )
    assert set(best) == set(SLICES)
    assert all(best[name] > 3 * max(chance[name], popular[name]) for name in SLICES)
    assert popular["cold_item"] == pytest.approx(10 / 45)


def test_content_speaks_for_cold_items_but_not_all_of_the_truth(world: Path) -> None:
    best, content = recall(world, oracle(world)), recall(world, content_scores(world))
    assert 0.65 * best["cold_item"] < content["cold_item"] < 0.9 * best["cold_item"]


def test_shuffled_cold_content_falls_to_random(world: Path, tmp_path: Path) -> None:
    found = []
    for seed in range(5):
        shuffle_cold_content(world, tmp_path / str(seed), seed=seed)
        shuffled = recall(tmp_path / str(seed), content_scores(tmp_path / str(seed)))
        found.append(shuffled["cold_item"])
        assert shuffled["warm"] == pytest.approx(recall(world, content_scores(world))["warm"])
    assert np.mean(found) == pytest.approx(10 / 45, abs=0.04)


def test_length_tells_of_quality_and_region_of_taste(world: Path) -> None:
    truth = read(world, "truth").to_pylist()
    taste = np.array([row["vector"] for row in truth if row["kind"] == "user"])
    topics = np.array([row["vector"] for row in truth if row["kind"] == "item"])
    length = read(world, "items")["length_s"].to_numpy(zero_copy_only=False)
    known = np.isfinite(length)
    assert np.corrcoef(np.log(length[known]), topics[known, -1])[0, 1] > 0.6
    region = np.array([int(name[1:]) for name in read(world, "users")["region"].to_pylist()])
    assert 0.6 < (taste[:, :-1].argmax(axis=1) == region).mean() < 0.85
