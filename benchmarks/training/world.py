"""A world the shape of MovieLens: users and films of words, tags and numbers; and its run."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from training.config import TrainConfig, parse_config

GENRES, TITLE_WORDS, OCCUPATIONS, ZIPS, AGES = 18, 3000, 21, 400, 7
SECONDS = 90 * 86_400
RECENT = 20


def write_world(folder: Path, users: int, items: int, rows: int, seed: int = 1) -> None:
    """Write interactions, users and items; item i is clicked in proportion to (i + 10) ** -.8."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        "users": pa.table(
            {
                "user_id": _words("u", np.arange(users)),
                "gender": _words("g", rng.integers(0, 2, users)),
                "age": _words("a", rng.integers(0, AGES, users)),
                "occupation": _words("o", rng.integers(0, OCCUPATIONS, users)),
                "zip": _words("z", rng.integers(0, ZIPS, users)),
            }
        ),
        "items": items_table(items, rng),
        "interactions": _interactions(users, items, rows, rng),
    }
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet")


def items_table(items: int, rng: np.random.Generator) -> pa.Table:
    """Return so many films: genres, the words of a title, a year."""
    return pa.table(
        {
            "item_id": _words("i", np.arange(items)),
            "genres": _bags("genre", rng.integers(1, 5, items), GENRES, rng),
            "title": _bags("word", rng.integers(1, 7, items), TITLE_WORDS, rng),
            "year": pa.array(rng.integers(1930, 2001, items).astype(float)),
        }
    )


def _interactions(users: int, items: int, rows: int, rng: np.random.Generator) -> pa.Table:
    share = (np.arange(items) + 10.0) ** -0.8
    item = np.searchsorted(np.cumsum(share / share.sum()), rng.random(rows))
    user = rng.integers(0, users, rows)
    at = np.minimum(item, items - 1)
    return pa.table(
        {
            "user_id": _words("u", user),
            "item_id": _words("i", at),
            "timestamp": pa.array(np.sort(rng.random(rows) * SECONDS)),
        }
    )


def _words(prefix: str, numbers: NDArray[np.int64]) -> pa.Array:
    """Return `prefix` and a number, as text, for each row."""
    distinct, place = np.unique(numbers, return_inverse=True)
    words = pa.array([f"{prefix}{one}" for one in distinct.tolist()], pa.string())
    return words.take(pa.array(place))


def _bags(
    prefix: str, lengths: NDArray[np.int64], words: int, rng: np.random.Generator
) -> pa.Array:
    flat = _words(prefix, rng.integers(0, words, int(lengths.sum())))
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(starts), flat)


def config(folder: Path, batch: int) -> TrainConfig:
    """Return the run: every kind of column, statistics declared, towers of one hidden layer."""
    raw: dict[str, Any] = {
        "data": {"folder": str(folder)},
        "user": {
            "content": {name: {"kind": "category"} for name in CATEGORIES},
            "preference": {
                "recent": {"kind": "sequence", "aggregate": "last", "n": RECENT, "table": "item"},
                "taste": {"kind": "tags", "aggregate": "profile", "of": "genres", "table": "genre"},
                "clicks": {"kind": "number", "aggregate": "count", "log1p": True},
            },
        },
        "item": {
            "content": {
                "genres": {"kind": "tags", "table": "genre"},
                "title": {"kind": "tags"},
                "year": {"kind": "number"},
            },
            "preference": {
                "own": {"kind": "category", "aggregate": "identity", "table": "item"},
                "shown": {"kind": "number", "aggregate": "count", "log1p": True},
            },
        },
        "split": {"kind": "by_time", "test": 0.05, "cold_items": 0.02, "cold_users": 0.02},
        "tower": {"kind": "mlp", "dim": 64, "embedding": 16, "hidden": [128]},
        "losses": [{"kind": "in_batch_softmax", "logq": "off"}],
        "negatives": [{"kind": "in_batch"}],
        "training": {"epochs": 1, "batch": batch},
    }
    return parse_config(raw, folder / "train.yaml")


CATEGORIES = ("gender", "age", "occupation", "zip")
