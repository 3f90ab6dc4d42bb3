"""Items held out but for a few clicks each: a data folder, and how many are revealed of whom."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from training.hashing import chosen, chosen_pairs

SHOTS = (0, 1, 2, 5, 10, 20, 50)
FOLDS = 4
LEAST = 70  # clicks of an item that may be held out: so that some stay to be found
OTHERS = 0.05  # of the other items' clicks, to be found too


def reveal(source: Path, folder: Path, fold: int) -> dict[str, int]:
    """Write the clicks that a source trains with, most of those of a fold's items hidden.

    Of each held-out item the first 50 clicks, in an order drawn by hash, are set aside and as
    many of them revealed as its share says: `train`, the others `unused`. What lies behind them
    tests, the same whatever is revealed. Rows that were shown and not clicked are left out.

    Returns how many clicks are revealed of each held-out item. No item is in two folds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("users.parquet", "items.parquet"):
        shutil.copyfile(source / name, folder / name)
    rows = pq.read_table(source / "interactions.parquet")
    trains = pc.and_(pc.greater(rows["label"], 0), pc.equal(rows["split"], "train"))
    rows = rows.filter(trains).select(["user_id", "item_id", "label"])
    users, items = rows["user_id"].to_pylist(), rows["item_id"].to_pylist()
    shots = held_out(Counter(items), fold)
    part = np.where(_tests(users, items), "test", "train").astype(object)
    place = _places(users, items, fold)
    for at, item in enumerate(items):
        if item in shots:
            is_first = place[at] < max(SHOTS)
            hidden = "unused" if is_first else "test"
            part[at] = "train" if place[at] < shots[item] else hidden
    pq.write_table(
        rows.append_column("split", pa.array(part.tolist())), folder / "interactions.parquet"
    )
    return shots


def held_out(clicks: Counter[str], fold: int) -> dict[str, int]:
    """Draw a fold of the items with enough clicks; deal out SHOTS from most clicked to least."""
    enough = sorted(item for item, count in clicks.items() if count >= LEAST)
    below, above = (chosen(enough, (fold + more) / FOLDS, "few shot") for more in (0, 1))
    drawn = [item for item, is_in in zip(enough, above & ~below, strict=True) if is_in]
    drawn.sort(key=lambda item: (-clicks[item], item))
    return {item: SHOTS[(at + fold) % len(SHOTS)] for at, item in enumerate(drawn)}


def _tests(users: list[str], items: list[str]) -> NDArray[np.bool_]:
    """Draw the clicks that test, of items that are not held out."""
    (of_users, user), (of_items, item) = _coded(users), _coded(items)
    return chosen_pairs(of_users, of_items, user, item, OTHERS, "few shot others")


def _places(users: list[str], items: list[str], fold: int) -> NDArray[np.int64]:
    """Return the place of each click among those of its item, in an order drawn by user."""
    (names, user), (_, item) = _coded(users), _coded(items)
    turn = np.random.default_rng(fold).permutation(len(names))
    order = np.lexsort((turn[user], item))
    first = np.searchsorted(item[order], item[order])
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order)) - first
    return place


def _coded(ids: list[str]) -> tuple[list[str], NDArray[np.int32]]:
    names, code = np.unique(np.array(ids), return_inverse=True)
    return names.tolist(), code.astype(np.int32)
