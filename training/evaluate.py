"""Evaluation: a run or a bundle against the test rows, beside untrained baselines."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.contract.errors import DataError
from export.contract.features import Category, Raw, Tags
from export.contract.schema import Record, Schema
from training.auc import auc, gauc
from training.baselines import (
    ItemWords,
    best_of,
    content_neighbours,
    popularity_counts,
    popularity_scores,
    random_scores,
)
from training.data import Data, read_data
from training.metrics import Scores, UserItems, dot_scores
from training.prepare import SIDES, log_of
from training.rows import RowEncoder
from training.slices import Slices, membership
from training.split import TEST, TRAIN, VALIDATION, Split, make_split
from training.subject import Subject, Towers, Vectors, embed_all

KS = (10, 100)
WINDOWS_DAYS = (1, 2, 4, 7)
DAY_S = 86_400.0


def evaluate(subject: Subject) -> dict[str, Any]:
    """Measure the test slices and rows.

    Returns:
        `slices`: scorer -> slice -> {recall@k, ndcg@k, users, pairs}; `rows`: scorer -> slice ->
        {auc, gauc, users, rows}, None where rows of one label leave nothing to order;
        `popularity`: which window was chosen on validation.

    Raises:
        DataError: The data cannot be used, or the split leaves nothing to test.
    """
    config, towers = subject.config, subject.towers
    data = read_data(config.data, config.user, config.item)
    split = make_split(config.split, data, config.data.folder)
    tests = split.rows(TEST)
    if not len(tests):
        raise DataError(f"nothing to evaluate: the split has no test row ({split.counts()})")
    log = log_of(data, split, (TRAIN, VALIDATION))
    records = {side: RowEncoder(towers.schema, side, data, log).raw_records() for side in SIDES}
    users = embed_all(towers, "user", records["user"])
    items = embed_all(towers, "item", records["item"])
    baselines, window = make_baselines(data, split, towers.schema)
    scorers = {"model": dot_scores(users, items), **baselines}
    slices = Slices.of(data, split, TEST)
    row_scores = {name: _row_scores(scores, data, tests) for name, scores in baselines.items()}
    row_scores["model"] = _model_row_scores(towers, data, tests, records["user"], items)
    return {
        "slices": {name: _measure(slices, scores) for name, scores in scorers.items()},
        "rows": {name: _order(data, split, tests, row_scores[name]) for name in scorers},
        "popularity": window,
        "test_rows": len(tests),
    }


def make_baselines(data: Data, split: Split, schema: Schema) -> tuple[dict[str, Scores], str]:
    """Return the untrained scorers, and which popularity was best on validation.

    Content neighbours are among them where items have tags or categories.
    """
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
    baselines = {"random": random_scores(size), "popularity": popular}
    if columns := content_columns(data, schema):
        baselines["content_neighbours"] = content_neighbours(ItemWords(columns), liked, popular)
    return baselines, window


def content_columns(data: Data, schema: Schema) -> Mapping[str, list[Raw]]:
    """Return the item content that has words, [items] each."""
    return {
        name: [record.get(name) for record in data.items.records]
        for name, feature in schema.item.content.items()
        if isinstance(feature, Category | Tags)
    }


def _measure(slices: Slices, scores: Scores) -> dict[str, dict[str, float]]:
    return {
        name: {
            **{f"recall@{k}": value for k, value in found.recall.items()},
            **{f"ndcg@{k}": value for k, value in found.ndcg.items()},
            "users": found.users,
            "pairs": found.pairs,
        }
        for name, found in slices.measure(scores, KS).items()
    }


def _row_scores(scores: Scores, data: Data, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Score single rows, a chunk of users at a time."""
    user, item = data.interactions.user[rows], data.interactions.item[rows]
    found = np.empty(len(rows), dtype=np.float32)
    distinct, place = np.unique(user, return_inverse=True)
    for start in range(0, len(distinct), 256):
        chunk = distinct[start : start + 256].astype(np.int64)
        mine = np.flatnonzero((place >= start) & (place < start + 256))
        found[mine] = scores(chunk)[place[mine] - start, item[mine]]
    return found


def _model_row_scores(
    towers: Towers,
    data: Data,
    rows: NDArray[np.int64],
    users: Sequence[Record],
    items: Vectors,
) -> NDArray[np.float32]:
    """Score rows with the context each was shown in; each user and context is embedded once."""
    carried = data.interactions.carried["user"]
    context = {name: carried[name] for name in towers.schema.user.context}
    keys = np.stack([data.interactions.user[rows], *(c.code[rows] for c in context.values())])
    distinct, place = np.unique(keys, axis=1, return_inverse=True)
    records = []
    for user, *codes in distinct.T.tolist():
        record = dict(users[user])
        for (name, column), code in zip(context.items(), codes, strict=True):
            if column.values[code] is not None:
                record[name] = column.values[code]
        records.append(record)
    vectors = embed_all(towers, "user", records)
    found: NDArray[np.float32] = np.einsum(
        "rd,rd->r", vectors[place.reshape(-1)], items[data.interactions.item[rows]]
    )
    return found


def _order(
    data: Data, split: Split, rows: NDArray[np.int64], scores: NDArray[np.float32]
) -> dict[str, dict[str, float | None]]:
    """Return AUC and GAUC of the exposed rows of each slice."""
    user, label = data.interactions.user[rows], data.interactions.label[rows]
    found: dict[str, dict[str, float | None]] = {}
    for name, mask in membership(data, split, TEST, rows).items():
        if mask.any():
            grouped = gauc(user[mask], scores[mask], label[mask])
            found[name] = {
                "auc": _figure(auc(scores[mask], label[mask])),
                "gauc": _figure(grouped.value),
                "users": grouped.users,
                "rows": int(mask.sum()),
            }
    return found


def _figure(value: float) -> float | None:
    """Return a figure that JSON can hold: none for nan."""
    return None if np.isnan(value) else value
