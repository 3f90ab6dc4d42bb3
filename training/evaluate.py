"""Evaluation: a run or a bundle against the test rows, beside untrained baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch.export import load

from export.contract.bundle import BundleLayout, read_manifest
from export.contract.errors import ConfigError
from export.contract.features import Category, Raw, Tags
from export.contract.run import RunLayout
from export.contract.schema import Record, Schema, SideName, read_schema
from export.contract.session import open_session
from training.baselines import (
    ItemWords,
    best_of,
    content_neighbours,
    popularity_counts,
    popularity_scores,
    random_scores,
)
from training.batches import tensors
from training.config import TrainConfig, parse_config
from training.data import Data, read_data
from training.fit import parse_column
from training.metrics import Scores, UserItems, auc, dot_scores, gauc
from training.prepare import log_of
from training.rows import Encoder, RowEncoder
from training.slices import Slices
from training.split import TEST, TRAIN, VALIDATION, Split, make_split

KS = (10, 100)
CHUNK = 2048
WINDOWS_DAYS = (1, 2, 4, 7)
DAY_S = 86_400.0

Vectors = NDArray[np.float32]


class Towers(Protocol):
    """Raw records in, unit vectors out: of a run or of a bundle."""

    schema: Schema

    def embed(self, side: SideName, records: Sequence[Record]) -> Vectors:
        """Return float32[records, dim]; preference counts wherever it is known."""


class RunTowers:
    """The encoder graphs and tower programs of a run."""

    def __init__(self, layout: RunLayout) -> None:
        self.schema = read_schema(layout.schema)
        sides: tuple[SideName, ...] = ("user", "item")
        self._encoders = {side: Encoder(self.schema, side) for side in sides}
        self._programs = {side: load(layout.tower(side)).module() for side in sides}

    @torch.no_grad()
    def embed(self, side: SideName, records: Sequence[Record]) -> Vectors:
        """Encode, then run the program."""
        features = self.schema.side(side)
        arrays = self._encoders[side].encode(records)
        if features.preference:
            present = [[features.has_preference(record)] for record in records]
            arrays["present"] = np.array(present)
        inputs = tensors({name: arrays[name] for name in features.encoded})
        vectors: Vectors = self._programs[side](inputs).numpy()
        return vectors


class BundleTowers:
    """The tower files of a bundle."""

    def __init__(self, layout: BundleLayout) -> None:
        read_manifest(layout.folder)
        self.schema = read_schema(layout.schema)
        sides: tuple[SideName, ...] = ("user", "item")
        self._sessions = {side: open_session(layout.tower(side)) for side in sides}

    def embed(self, side: SideName, records: Sequence[Record]) -> Vectors:
        """Run the tower file."""
        features = self.schema.side(side)
        present = [features.has_preference(record) for record in records]
        vectors: Vectors = self._sessions[side].run(["vector"], features.pack(records, present))[0]
        return vectors


@dataclass(frozen=True)
class Subject:
    """What is evaluated: towers, and the configuration that says on which rows."""

    towers: Towers
    config: TrainConfig


def open_subject(folder: Path, data: Path | None) -> Subject:
    """Open a run or a bundle; `data` replaces the data folder that training read.

    Raises:
        ConfigError: The folder is neither.
    """
    run, bundle = RunLayout(folder), BundleLayout(folder)
    if not run.config.is_file():
        raise ConfigError(f"{folder}: neither a run nor a bundle (config.yaml is missing)")
    raw = yaml.safe_load(run.config.read_text(encoding="utf-8"))
    if data is not None:
        raw["data"]["folder"] = str(data.resolve())
    config = parse_config(raw, run.config)
    is_bundle = bundle.manifest.is_file()
    return Subject(BundleTowers(bundle) if is_bundle else RunTowers(run), config)


def embed_all(towers: Towers, side: SideName, records: Sequence[Record]) -> Vectors:
    """Return the vectors of many records, in chunks."""
    starts = range(0, len(records), CHUNK)
    return np.concatenate([towers.embed(side, records[s : s + CHUNK]) for s in starts])


def evaluate(subject: Subject) -> dict[str, Any]:
    """Measure the test slices and rows.

    Returns:
        `slices`: scorer -> slice -> {recall@k, ndcg@k, users, pairs}; `rows`: scorer -> slice ->
        {auc, gauc, users}; `popularity`: which window was chosen on validation.
    """
    config, towers = subject.config, subject.towers
    data = read_data(config.data, config.user, config.item)
    split = make_split(config.split, data, config.data.folder)
    log = log_of(data, split, (TRAIN, VALIDATION))
    records = {
        side: RowEncoder(towers.schema, side, data, log).raw_records() for side in ("user", "item")
    }
    users = embed_all(towers, "user", records["user"])
    items = embed_all(towers, "item", records["item"])
    baselines, window = make_baselines(data, split, towers.schema)
    scorers = {"model": dot_scores(users, items), **baselines}
    slices = Slices.of(data, split, TEST)
    tests = split.rows(TEST)
    row_scores = {name: _row_scores(scores, data, tests) for name, scores in baselines.items()}
    row_scores["model"] = _model_row_scores(towers, data, tests, records["user"], items)
    return {
        "slices": {name: _measure(slices, scores) for name, scores in scorers.items()},
        "rows": {name: _order(data, split, tests, row_scores[name]) for name in scorers},
        "popularity": window,
        "test_rows": len(tests),
    }


def make_baselines(data: Data, split: Split, schema: Schema) -> tuple[dict[str, Scores], str]:
    """Return the untrained scorers, and which popularity was best on validation."""
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
        return found["warm"].recall[100] if "warm" in found else found["all"].recall[100]

    window = best_of(popularity((TRAIN,)), measure)
    popular = popularity((TRAIN, VALIDATION))[window]
    clicked = np.isin(split.part, (TRAIN, VALIDATION)) & (rows.label > 0)
    liked = UserItems.from_pairs(rows.user[clicked], rows.item[clicked], len(data.users))
    words = ItemWords(content_columns(data, schema))
    return {
        "random": random_scores(size, seed=1),
        "popularity": popular,
        "content_neighbours": content_neighbours(words, liked, popular),
    }, window


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
    context = {
        name: parse_column(data.interactions.columns[name][rows], feature)
        for name, feature in towers.schema.user.context.items()
        if name in data.interactions.columns
    }
    user = data.interactions.user[rows]
    keys = list(zip(user.tolist(), *context.values(), strict=True))
    distinct = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    records = [
        {**users[key[0]], **{n: v for n, v in zip(context, key[1:], strict=True) if v is not None}}
        for key in distinct
    ]
    vectors = embed_all(towers, "user", records)
    place = np.array([distinct[key] for key in keys])
    found: NDArray[np.float32] = np.einsum(
        "rd,rd->r", vectors[place], items[data.interactions.item[rows]]
    )
    return found


def _order(
    data: Data, split: Split, rows: NDArray[np.int64], scores: NDArray[np.float32]
) -> dict[str, dict[str, float]]:
    """Return AUC and GAUC of the exposed rows of each slice."""
    user, item = data.interactions.user[rows], data.interactions.item[rows]
    label = data.interactions.label[rows]
    cold_user, cold_item = split.cold_users[TEST][user], split.cold_items[TEST][item]
    masks = {
        "warm": ~cold_user & ~cold_item,
        "cold_item": ~cold_user & cold_item,
        "cold_user": cold_user & ~cold_item,
        "cold_both": cold_user & cold_item,
        "all": np.ones(len(rows), dtype=bool),
    }
    found = {}
    for name, mask in masks.items():
        if mask.any():
            grouped = gauc(user[mask], scores[mask], label[mask])
            found[name] = {
                "auc": auc(scores[mask], label[mask]),
                "gauc": grouped.value,
                "users": grouped.users,
                "rows": int(mask.sum()),
            }
    return found
