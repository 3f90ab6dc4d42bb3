"""Measures scorers on a generated world, the one that knows the truth among them.

A test can then ask for a share of what is possible: of the recall of `oracle`, on each slice.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from training.metrics import RankMetrics, Scores, UserItems, dot_scores, rank_metrics

SLICES = ("warm", "cold_item", "cold_user", "cold_both")


def oracle(folder: Path) -> Scores:
    """Score by true affinity; users and items in the order of their tables."""
    truth = pq.read_table(folder / "truth.parquet")
    of_kind = {
        kind: truth.filter(pc.equal(truth["kind"], kind))["vector"] for kind in ("user", "item")
    }
    user, item = (np.array(of_kind[k].to_pylist(), dtype=np.float32) for k in ("user", "item"))
    return dot_scores(user, item)


def measure(folder: Path, scores: Scores, ks: Sequence[int] = (10,)) -> dict[str, RankMetrics]:
    """Recall and ndcg of test positives by slice, without each user's train positives.

    cold_item and cold_both rank the cold items only, warm and cold_user all items.
    """
    rows, cold = (pq.read_table(folder / f"{name}.parquet") for name in ("interactions", "cold"))
    index: dict[str, np.ndarray] = {}
    is_cold: dict[str, np.ndarray] = {}
    for kind in ("user", "item"):
        ids = pq.read_table(folder / f"{kind}s.parquet")[f"{kind}_id"]
        index[kind] = pc.index_in(rows[f"{kind}_id"], ids).to_numpy()
        is_cold[kind] = pc.is_in(ids, cold["id"].filter(pc.equal(cold["kind"], kind))).to_numpy()
    label = rows["label"].to_numpy() == 1
    is_train, is_test = (pc.equal(rows["split"], name).to_numpy() for name in ("train", "test"))

    def pairs(chosen: np.ndarray) -> UserItems:
        chosen = chosen & label
        return UserItems.from_pairs(
            index["user"][chosen], index["item"][chosen], len(is_cold["user"])
        )

    cold_user, cold_item = is_cold["user"][index["user"]], is_cold["item"][index["item"]]
    members = {
        "warm": ~cold_user & ~cold_item,
        "cold_item": ~cold_user & cold_item,
        "cold_user": cold_user & ~cold_item,
        "cold_both": cold_user & cold_item,
    }
    every, only_cold = np.arange(len(is_cold["item"])), np.flatnonzero(is_cold["item"])
    return {
        name: rank_metrics(
            scores,
            pairs(is_test & members[name]),
            only_cold if name in ("cold_item", "cold_both") else every,
            pairs(is_train),
            ks,
        )
        for name in SLICES
    }


def shuffle_cold_content(folder: Path, out: Path, *, seed: int) -> None:
    """Copy a world with the content of cold items dealt out among them anew: it says nothing.

    What ranked cold items by content must then measure as random, on average over seeds.
    """
    out.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.parquet"):
        pq.write_table(pq.read_table(path), out / path.name)
    items, cold = (pq.read_table(folder / f"{name}.parquet") for name in ("items", "cold"))
    names = cold["id"].filter(pc.equal(cold["kind"], "item"))
    at = np.flatnonzero(pc.is_in(items["item_id"], names).to_numpy())
    dealt = np.arange(items.num_rows)
    dealt[at] = np.random.default_rng(seed).permutation(at)
    shuffled = items.take(dealt).set_column(0, "item_id", items["item_id"])
    pq.write_table(shuffled, out / "items.parquet")
