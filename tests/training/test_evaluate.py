import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from export.contract.errors import ConfigError, DataError
from export.contract.run import RunLayout
from tests.once import once
from tests.training.conftest import world_config
from tests.training.tables import make_data
from training.config import parse_config
from training.data import read_data
from training.evaluate import evaluate, make_baselines
from training.ground import Ground
from training.page import page
from training.prepare import SIDES, log_of
from training.rows import RowEncoder
from training.run import run_training
from training.split import TEST, TRAIN, VALIDATION, GivenSplit, HeldOutIdsSplit, make_split
from training.subject import Subject, embed_all, open_subject

SCORERS = {"model", "random", "popularity", "content_neighbours"}
AT_K = {f"{name}@{k}" for name in ("recall", "ndcg", "mrr") for k in (10, 100)}
SLICES = {"warm", "cold_item", "cold_user", "cold_both", "all"}


@pytest.fixture(scope="module")
def subject(trained: RunLayout) -> Subject:
    return open_subject(trained.folder, None)


@pytest.fixture(scope="module")
def found(subject: Subject) -> dict[str, Any]:
    return evaluate([subject])


def relabelled(world: Path, folder: Path, *, seed: int) -> Path:
    """Copy a world, with the labels of its test rows dealt out anew."""
    shutil.copytree(world, folder)
    path = folder / "interactions.parquet"
    rows = pq.read_table(path)
    label = rows["label"].to_numpy().copy()
    test = rows["split"].to_numpy(zero_copy_only=False) == "test"
    label[test] = np.random.default_rng(seed).permutation(label[test])
    at = rows.column_names.index("label")
    pq.write_table(rows.set_column(at, "label", pa.array(label)), path)
    return folder


def figures(found: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], float | None]]:
    for part in ("slices", "rows"):
        for scorer, slices in found[part].items():
            for name, one in slices.items():
                yield from (((part, scorer, name, key), value) for key, value in one.items())


def test_every_scorer_is_measured_on_every_slice(found: dict[str, Any]) -> None:
    for part, keys in (
        ("slices", {*AT_K, "users", "pairs", "pairs_left_out"}),
        ("rows", {"auc", "gauc", "users", "rows"}),
    ):
        assert set(found[part]) == SCORERS
        for slices in found[part].values():
            assert slices.keys() >= SLICES
            assert all(set(one) == keys for one in slices.values())
    lists = {"coverage@100", "cold_share@100", "cold_candidates", "diversity@100", "users"}
    assert all(set(one) == lists for one in found["lists"].values())
    assert set(found["lists"]) == SCORERS


def test_the_model_beats_chance_on_each_slice(found: dict[str, Any]) -> None:
    for name in ("warm", "cold_item", "cold_user", "all"):
        model, chance = (found["slices"][s][name]["recall@10"] for s in ("model", "random"))
        assert model > 1.2 * chance, name
    assert found["rows"]["model"]["all"]["auc"] > 0.55
    assert found["rows"]["random"]["all"]["auc"] == 0.5


def test_a_run_and_its_bundle_measure_the_same(found: dict[str, Any], bundle: Path) -> None:
    exported = dict(figures(evaluate([open_subject(bundle, None)])))
    trained = dict(figures(found))
    assert exported.keys() == trained.keys()
    for key, value in trained.items():
        assert exported[key] == pytest.approx(value, abs=1e-6), key


def test_figures_are_one_json_document(found: dict[str, Any]) -> None:
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text) == found
    assert found["test_rows"] == sum(
        found["rows"]["model"][name]["rows"] for name in SLICES - {"all"}
    )


def test_rows_are_scored_in_the_context_they_were_shown_in(subject: Subject) -> None:
    config, towers = subject.config, subject.towers
    data = read_data(config.data, config.user, config.item)
    split = make_split(config.split, data, config.data.folder)
    log = log_of(data, split, (TRAIN, VALIDATION))
    records = {s: RowEncoder(towers.schema, s, data, log).raw_records() for s in SIDES}
    rows = split.rows(TEST)
    interactions = data.interactions
    users = [
        records["user"][user] | {"tab": tab}
        for user, tab in zip(
            interactions.user[rows], interactions.columns["tab"][rows], strict=True
        )
    ]
    items = [records["item"][item] for item in interactions.item[rows]]
    scores = (embed_all(towers, "user", users) * embed_all(towers, "item", items)).sum(1)
    # AUC by its definition: the share of pairs in which the click has the higher score
    clicked = interactions.label[rows] > 0
    wins = scores[clicked][:, None] > scores[~clicked][None]
    found = evaluate([subject])["rows"]["model"]["all"]["auc"]
    assert found == pytest.approx(wins.mean(), abs=2e-4)


def test_test_labels_choose_nothing(
    world: Path, trained: RunLayout, found: dict[str, Any], tmp_path: Path
) -> None:
    folder = relabelled(world, tmp_path / "world", seed=1)
    config = parse_config(world_config(folder), folder / "train.yaml")
    again = run_training(config, tmp_path / "run")
    assert again.schema.read_bytes() == trained.schema.read_bytes()
    one, other = (torch.load(run.weights) for run in (trained, again))
    assert all(torch.equal(one[name], other[name]) for name in one)
    epochs = [json.loads(run.metrics.read_text())["selected_epoch"] for run in (trained, again)]
    assert epochs[0] == epochs[1]
    measured = evaluate([open_subject(again.folder, None)])
    assert measured["popularity"] == found["popularity"]
    assert measured["slices"] != found["slices"], "the labels do count when it is measured"


def test_a_bundle_is_measured_on_data_elsewhere(
    bundle: Path, world: Path, found: dict[str, Any], tmp_path: Path
) -> None:
    same = shutil.copytree(world, tmp_path / "same")
    moved = evaluate([open_subject(bundle, same)])
    other = evaluate([open_subject(bundle, relabelled(world, tmp_path / "other", seed=2))])
    assert moved["slices"]["popularity"] == found["slices"]["popularity"]
    assert other["slices"]["popularity"] != found["slices"]["popularity"]
    with pytest.raises(DataError, match="no such file"):
        evaluate([open_subject(bundle, tmp_path / "nowhere")])


def test_a_bundle_far_from_its_data_asks_for_it(bundle: Path, tmp_path: Path) -> None:
    away = shutil.copytree(bundle, tmp_path / "on" / "another" / "machine")
    with pytest.raises(ConfigError, match="its data is not at .*; give --data DIR"):
        open_subject(away, None)


def test_nothing_to_test_is_refused(subject: Subject, world: Path, tmp_path: Path) -> None:
    shutil.copytree(world, tmp_path, dirs_exist_ok=True)
    rows = pq.read_table(world / "interactions.parquet")
    parts = pa.array(["train" if p == "train" else "unused" for p in rows["split"].to_pylist()])
    at = rows.column_names.index("split")
    pq.write_table(rows.set_column(at, "split", parts), tmp_path / "interactions.parquet")
    data = subject.config.data.model_copy(update={"folder": tmp_path})
    config = subject.config.model_copy(update={"data": data})
    with pytest.raises(DataError, match="nothing to evaluate: the split has no test row"):
        evaluate([replace(subject, config=config)])


def test_rows_of_one_label_have_no_order(subject: Subject, world: Path, tmp_path: Path) -> None:
    shutil.copytree(world, tmp_path, dirs_exist_ok=True)
    rows = pq.read_table(world / "interactions.parquet")
    test = rows["split"].to_numpy(zero_copy_only=False) == "test"
    label = pa.array(np.where(test, 1, rows["label"].to_numpy()))
    at = rows.column_names.index("label")
    pq.write_table(rows.set_column(at, "label", label), tmp_path / "interactions.parquet")
    data = subject.config.data.model_copy(update={"folder": tmp_path})
    config = subject.config.model_copy(update={"data": data})
    found = evaluate([replace(subject, config=config)])
    assert found["rows"]["model"]["all"]["auc"] is None
    assert found["rows"]["model"]["all"]["gauc"] is None
    json.dumps(found, allow_nan=False)


DAY = 86_400.0
ANY = parse_config(world_config(Path("nowhere")), Path("train.yaml"))


@pytest.mark.parametrize("test_label", [1, 0])
@pytest.mark.parametrize(("crowd", "window"), [(1, "all train"), (40, "last 1 d")])
def test_the_popularity_window_is_chosen_on_validation_alone(
    crowd: int, window: str, test_label: int
) -> None:
    # Item 0 was clicked long ago, item 1 by 20 users on the last day; validation wants item 1,
    # test item 0. Items 2 to 201 were clicked `crowd` times each, long ago: 40 times is ahead of
    # item 1 in all of train. With one click each, both windows find item 1 and the first is kept.
    user = [*range(30), *range(20), *list(range(crowd)) * 200, 0, 1, 2]
    item = [0] * 30 + [1] * 20 + np.repeat(np.arange(2, 202), crowd).tolist() + [1, 1, 0]
    time = [0.0] * 30 + [9.5] * 20 + [0.0] * 200 * crowd + [9.6, 9.7, 11.0]
    parts = ["train"] * (50 + 200 * crowd) + ["validation"] * 2 + ["test"]
    user[-3:] = [100, 101, 102]
    data = make_data(user, item, timestamp=np.array(time) * DAY, split=parts)
    data.interactions.label[-1] = test_label
    split = make_split(GivenSplit(), data, Path("nowhere"))
    assert make_baselines(Ground(ANY, data, split, {}))[1] == window


def test_popularity_counts_validation_once_the_window_is_chosen() -> None:
    data = make_data(
        [0, 1, 2, 3, 4], [0, 0, 1, 1, 1], split=["train", "train", "train", "validation", "test"]
    )
    split = make_split(GivenSplit(), data, Path("nowhere"))
    baselines, _ = make_baselines(Ground(ANY, data, split, {}))
    assert set(baselines) == {"random", "popularity"}, "no item content has words"
    assert baselines["popularity"](np.array([0])).tolist() == [[2, 2]]


# Runs beside each other


@pytest.fixture(scope="module")
def seeds(world: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Subject]:
    """Return the runs of two seeds, briefly trained."""

    def make(folder: Path) -> None:
        folder.mkdir()
        for seed in (1, 2):
            raw = world_config(world)
            raw["training"] |= {"seed": seed, "epochs": 1}
            raw["item"]["present_when"] = "interactions >= 3"
            run_training(parse_config(raw, world / "train.yaml"), folder / f"seed-{seed}")

    folder = once(tmp_path_factory, "seeds", make)
    return [open_subject(folder / f"seed-{seed}", None) for seed in (1, 2)]


@pytest.fixture(scope="module")
def together(seeds: list[Subject], subject: Subject) -> dict[str, Any]:
    return evaluate(seeds, {"longer": [subject]})


def test_figures_of_several_seeds_are_their_mean_and_their_ends(
    together: dict[str, Any], seeds: list[Subject]
) -> None:
    alone = [evaluate([one])["slices"]["model"]["warm"]["recall@10"] for one in seeds]
    assert together["slices"]["model"]["warm"]["recall@10"] == pytest.approx(np.mean(alone))
    ends = together["spread"]["slices"]["model"]["warm"]["recall@10"]
    assert ends == [min(alone), max(alone)]
    assert min(alone) < max(alone)
    assert set(together["spread"]["slices"]) == {"model"}, "a rival of one seed has no spread"
    assert [one["run"] for one in together["training"]] == [one.name for one in seeds]


def test_the_document_says_from_when_on_preference_counts(
    together: dict[str, Any], found: dict[str, Any]
) -> None:
    assert together["present_when"] == {"user": 0, "item": 3}
    assert found["present_when"] == {"user": 0, "item": 0}


def test_a_rival_is_measured_as_it_is_alone(
    together: dict[str, Any], found: dict[str, Any]
) -> None:
    for part in ("slices", "lists", "rows"):
        assert together[part]["longer"] == found[part]["model"]


def test_every_other_scorer_but_chance_is_compared_user_by_user(together: dict[str, Any]) -> None:
    assert set(together["paired"]) == {"popularity", "content_neighbours", "longer"}
    for rival, slices in together["paired"].items():
        for name, one in slices.items():
            ours, theirs = (together["slices"][who][name] for who in ("model", rival))
            assert one["difference"] == pytest.approx(ours["recall@100"] - theirs["recall@100"])
            assert one["low"] <= one["difference"] <= one["high"]
            assert one["users"] == ours["users"]


def test_the_curve_holds_the_model_with_its_items_as_if_cold(found: dict[str, Any]) -> None:
    curve = found["curve"]
    assert set(curve) == SCORERS | {"model, items as if cold"}
    whole = found["slices"]["model"]
    assert curve["model"]["0"]["recall@100"] == whole["item 0"]["recall@100"]
    buckets = [one["pairs"] for one in curve["model"].values()]
    assert sum(buckets) == whole["all"]["pairs"]
    shared = curve["model"].keys() & curve["model, items as if cold"].keys()
    assert any(curve["model"][label] != curve["model, items as if cold"][label] for label in shared)


def test_a_run_tested_on_other_rows_is_refused(
    subject: Subject, world: Path, tmp_path: Path
) -> None:
    config = subject.config.model_copy(update={"split": HeldOutIdsSplit(seed=5)})
    other = replace(subject, name="runs/other", config=config)
    told = r"runs/other differ in test rows, .*cannot be compared \(split\.kind: given against held"
    with pytest.raises(ConfigError, match=told):
        evaluate([subject], {"other": [other]})


def test_runs_that_differ_in_more_than_their_seed_are_no_seeds(subject: Subject) -> None:
    losses = (subject.config.losses[0].model_copy(update={"temperature": 0.3}),)
    config = subject.config.model_copy(update={"losses": losses})
    told = r"no seeds of one configuration: losses\.0\.temperature: 0\.1 against 0\.3; give one"
    with pytest.raises(ConfigError, match=told):
        evaluate([subject, replace(subject, config=config)])


def test_the_page_names_every_member_and_every_figure(together: dict[str, Any]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text("utf-8")
    figures = {
        *(name.replace("@100", "@k") for name in together["slices"]["model"]["warm"]),
        *together["lists"]["model"],
        *together["rows"]["model"]["warm"],
        *together["paired"]["popularity"]["warm"],
        *together["curve"]["model"]["0"],
        *together["scores"],
        *together["map"],
        *together["slices"]["model"],
    }
    figures -= {name for name in figures if name.endswith("@10")}
    for name in {*together, *figures, "model, items as if cold"}:
        assert f"`{name}`" in page, name
    for scorer in (*together["slices"],):
        assert f"`{scorer}`" in page or scorer == "longer"


def test_a_rival_called_as_a_baseline_is_refused(subject: Subject) -> None:
    with pytest.raises(ConfigError, match="popularity: a scorer of the tables is called so"):
        evaluate([subject], {"popularity": [subject]})


def test_items_without_preference_have_no_second_curve(world: Path, tmp_path: Path) -> None:
    raw = world_config(world)
    raw["item"].pop("preference")
    raw["training"]["epochs"] = 1
    run_training(parse_config(raw, world / "train.yaml"), tmp_path / "run")
    found = evaluate([open_subject(tmp_path / "run", None)])
    assert set(found["curve"]) == SCORERS
    assert "</svg>" in page(found)
