"""Evaluation: runs or bundles against the test rows, beside others and untrained baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from export.contract.errors import ConfigError
from export.contract.schema import Schema
from training.baselines import (
    best_of,
    content_neighbours,
    popularity_counts,
    popularity_scores,
    random_scores,
)
from training.bootstrap import paired_bootstrap
from training.comparison import require_one_recipe, require_same_rows
from training.embedded import Embedded
from training.figures import mean_over_runs, slice_figures, spread_over_runs
from training.geometry import item_map, score_distributions
from training.ground import LIST_K, Ground, Measured
from training.metrics import Floats, RankMetrics, Scores, UserItems, dot_scores
from training.parts import TEST, TRAIN, VALIDATION
from training.prepare import SIDES
from training.ranker.measure import measure_rankers, ranked_figures
from training.slices import FEW_SHOT, FINE, SLICES, Slices
from training.subject import Subject

WINDOWS_DAYS = (1, 2, 4, 7)
DAY_S = 86_400.0
MODEL, HIDDEN = "model", "model, items as if cold"
CHANCE, POPULARITY, CONTENT = "random", "popularity", "content_neighbours"
NAMES = {MODEL, HIDDEN, CHANCE, POPULARITY, CONTENT}


def evaluate(
    runs: Sequence[Subject], rivals: Mapping[str, Sequence[Subject]] | None = None
) -> dict[str, Any]:
    """Measure one configuration's runs on the test rows, and what they are compared with.

    Args:
        runs: One configuration, in one or several seeds; figures are means over them.
        rivals: Other configurations by name, each in one or several seeds.

    Returns:
        One JSON document; `docs/evaluation.md` says what its members are.

    Raises:
        DataError: The data cannot be used, or the split leaves nothing to test.
        ConfigError: The runs differ in more than a seed, or were made to be tested on other rows.
    """
    rivals = rivals or {}
    ground = _common_ground(runs, rivals)
    baselines, window = make_baselines(ground)
    embedded = [_embedded(run, runs[0], ground) for run in runs]
    first, found = embedded[0], {MODEL: [_measure(one, ground) for one in embedded]}
    found |= {name: [ground.measure(scores)] for name, scores in baselines.items()}
    for name, group in rivals.items():
        found[name] = [_measure(_embedded(run, runs[0], ground), ground) for run in group]
    pairs = zip(embedded, runs, strict=True)
    ranked = [measure_rankers(one, run.rankers, ground) for one, run in pairs]
    return {
        "runs": [run.name for run in runs],
        **_tables(found),
        "ranker": ranked_figures(ranked),
        "paired": _paired(found),
        "curve": _curve(found, first, ground),
        **_looks(first, ground),
        "training": [{"run": run.name, "epochs": run.epochs} for run in runs],
        "present_when": {side: first.towers.schema.side(side).least for side in SIDES},
        "features": _features(first.towers.schema),
        "split": {"kind": runs[0].config.split.kind, "rows": ground.split.counts()},
        "popularity": window,
        "test_rows": len(ground.tests),
    }


def _common_ground(runs: Sequence[Subject], rivals: Mapping[str, Sequence[Subject]]) -> Ground:
    """Read what all are measured on, and refuse whoever cannot be."""
    require_one_recipe(runs)
    if taken := sorted(rivals.keys() & NAMES):
        raise ConfigError(f"{taken[0]}: a scorer of the tables is called so; give the whole path")
    ground = Ground.of(runs[0].config, runs[0].towers.schema)
    for other in [*runs[1:], *(one for group in rivals.values() for one in group)]:
        require_same_rows(runs[0], other, ground.data, ground.split)
    return ground


def make_baselines(ground: Ground) -> tuple[dict[str, Scores], str]:
    """Return the untrained scorers, and which popularity was best on validation.

    Content neighbours are among them where items have tags, categories or texts.
    """
    data, split = ground.data, ground.split
    size, rows = len(data.items), data.interactions

    def popularity(parts: tuple[int, ...]) -> dict[str, Scores]:
        seen = np.isin(split.part, parts)
        item, label = rows.item[seen], rows.label[seen]
        found = {"all train": popularity_scores(popularity_counts(item, label, size))}
        if rows.timestamp is not None:
            time = rows.timestamp[seen]
            for days in WINDOWS_DAYS:
                counts = popularity_counts(item, label, size, time, days * DAY_S)
                found[f"last {days} d"] = popularity_scores(counts)
        return found

    validation = Slices.of(data, split, VALIDATION)

    def measure(scores: Scores) -> float:
        found = validation.measure(scores, (100,))
        decisive = found.get("warm") or found.get("all")
        return decisive.recall[100] if decisive else 0.0

    window = best_of(popularity((TRAIN,)), measure)
    popular = popularity((TRAIN, VALIDATION))[window]
    clicked = np.isin(split.part, (TRAIN, VALIDATION)) & (rows.label > 0)
    liked = UserItems.from_pairs(rows.user[clicked], rows.item[clicked], len(data.users))
    baselines = {CHANCE: random_scores(size), POPULARITY: popular}
    if ground.words is not None:
        baselines[CONTENT] = content_neighbours(ground.words, liked, popular)
    return baselines, window


def _embedded(run: Subject, first: Subject, ground: Ground) -> Embedded:
    run = run.on_rows_of(first)
    return Embedded.of(run, ground.data_for(run.config), ground.split)


def _measure(run: Embedded, ground: Ground) -> Measured:
    return ground.measure(run.scores, run.row_scores(ground.tests))


def _tables(found: dict[str, list[Measured]]) -> dict[str, Any]:
    """Return slices, lists and rows by scorer, and the spread of those in several seeds."""
    names = {*SLICES, *(one.name for one in FEW_SHOT)}
    by_slice = {
        scorer: [slice_figures({n: m for n, m in o.slices.items() if n in names}) for o in runs]
        for scorer, runs in found.items()
    }
    lists = {scorer: [_list_figures(one) for one in runs] for scorer, runs in found.items()}
    rows = {scorer: [one.rows for one in runs] for scorer, runs in found.items()}
    several = [scorer for scorer, runs in found.items() if len(runs) > 1]
    return {
        "slices": {scorer: mean_over_runs(runs) for scorer, runs in by_slice.items()},
        "lists": {scorer: mean_over_runs(runs) for scorer, runs in lists.items()},
        "rows": {scorer: mean_over_runs(runs) for scorer, runs in rows.items()},
        "spread": {
            name: {scorer: spread_over_runs(table[scorer]) for scorer in several}
            for name, table in (("slices", by_slice), ("lists", lists), ("rows", rows))
        },
    }


def _list_figures(found: Measured) -> dict[str, float | None]:
    one = found.lists
    return {
        f"coverage@{LIST_K}": one.coverage,
        f"cold_share@{LIST_K}": one.cold_share,
        "cold_candidates": one.cold_candidates,
        f"diversity@{LIST_K}": one.diversity,
        "users": one.users,
    }


def _paired(found: dict[str, list[Measured]]) -> dict[str, dict[str, Any]]:
    """Compare the model's recall of each user with every other scorer's but chance, by slice."""
    names = [*SLICES, *(one.name for one in FEW_SHOT)]
    rivals = [scorer for scorer in found if scorer not in (MODEL, CHANCE)]
    compared: dict[str, dict[str, Any]] = {scorer: {} for scorer in rivals}
    for name in names:
        first = found[MODEL][0].slices.get(name)
        if first is None or not first.users:
            continue
        ours = _by_user(found[MODEL], name)
        results = paired_bootstrap(ours, [_by_user(found[scorer], name) for scorer in rivals])
        for scorer, result in zip(rivals, results, strict=True):
            compared[scorer][name] = asdict(result)
    return compared


def _by_user(runs: Sequence[Measured], name: str) -> Floats:
    """Return each user's recall, the mean over runs; all measure the same users, in order."""
    mean: Floats = np.mean([run.slices[name].per_user.recall[LIST_K] for run in runs], axis=0)
    return mean


def _curve(
    found: dict[str, list[Measured]], first: Embedded, ground: Ground
) -> dict[str, dict[str, Any]]:
    """Return recall by number of rows an item has had, with the model's own content beside it."""
    labels = {one.name: one.label for one in FINE}

    def points(slices: Mapping[str, RankMetrics]) -> dict[str, Any]:
        return {
            label: {
                f"recall@{LIST_K}": slices[name].recall[LIST_K],
                "users": slices[name].users,
                "pairs": slices[name].pairs,
            }
            for name, label in labels.items()
            if name in slices and slices[name].users
        }

    curves = {
        scorer: mean_over_runs([points(one.slices) for one in runs])
        for scorer, runs in found.items()
    }
    if first.towers.schema.item.preference:
        bare = ground.curve(dot_scores(first.users, first.items_as_cold()))
        curves[HIDDEN] = points(bare)
    return curves


def _looks(run: Embedded, ground: Ground) -> dict[str, Any]:
    """Return how scores of warm and cold items are spread, and the map of the items."""
    cold = ground.split.cold_items[TEST]
    return {
        "scores": score_distributions(run.users[ground.users], run.items, cold),
        "map": item_map(run.items, ground.item_counts),
    }


def _features(schema: Schema) -> dict[str, dict[str, list[str]]]:
    """Return the names of the features, by side and group."""
    return {
        side: {
            group: list(features)
            for group in ("content", "context", "preference")
            if (features := getattr(schema.side(side), group))
        }
        for side in SIDES
    }
