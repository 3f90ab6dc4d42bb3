"""A small shop with a column of every sort, as Parquet and as CSV."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

USERS, ITEMS, ROWS = 300, 240, 4000
TOPICS = ("art", "cars", "cats", "chess", "dance", "food", "games", "garden", "music", "sea")
LISTS = ("genres", "photo")


def shop(*, seed: int = 1) -> dict[str, dict[str, Any]]:
    """Return the columns of the three tables."""
    rng = np.random.default_rng(seed)
    topic = rng.integers(len(TOPICS), size=ITEMS)
    user, item = rng.integers(USERS, size=ROWS), rng.integers(ITEMS, size=ROWS)
    label = rng.random(ROWS) < np.where(topic[item] == user % len(TOPICS), 0.8, 0.2)
    other = rng.integers(len(TOPICS), size=ITEMS)
    pairs = [sorted({TOPICS[t], TOPICS[o]}) for t, o in zip(topic, other, strict=True)]
    return {
        "interactions": {
            "user_id": [f"u{n}" for n in user],
            "item_id": [f"i{n}" for n in item],
            "timestamp": 1_700_000_000 + np.sort(rng.integers(30 * 86_400, size=ROWS)),
            "label": label.astype(int),
            "hour": rng.integers(24, size=ROWS),
            "device": [("phone", "tablet")[n] for n in rng.integers(2, size=ROWS)],
            "watch_s": np.where(label, 60, 3) + rng.random(ROWS).round(2),
            "rating": rng.integers(1, 6, size=ROWS),
            "outcome": ["bad" if not one else "good" for one in label],
            "country": [("nl", "be", "de")[n % 3] for n in user],
        },
        "users": {
            "user_id": [f"u{n}" for n in range(USERS)],
            "city": [f"c{n % 12}" for n in range(USERS)],
            "age": rng.integers(16, 80, size=USERS),
        },
        "items": {
            "item_id": [f"i{n}" for n in range(ITEMS)],
            "genres": pairs,
            "maker": [f"m{n}" for n in rng.integers(30, size=ITEMS)],
            "price": np.exp(rng.normal(3, 1.5, ITEMS)).round(2),
            "weight_kg": rng.normal(5, 1, ITEMS).round(3),
            "title": [f"The {p[0]} of {n} {p[-1]}s" for n, p in enumerate(pairs)],
            "photo": rng.normal(size=(ITEMS, 4)).round(3).tolist(),
            "sku": [f"S-{n:05}" for n in rng.permutation(ITEMS)],
            "released": [f"20{n % 20:02}-01-05" for n in range(ITEMS)],
            "shelf": ["A"] * ITEMS,
            "note": [None] * ITEMS,
            "popularity": rng.integers(100, size=ITEMS),
            "net price": rng.random(ITEMS),
        },
    }


def write_shop(folder: Path, *, csv: bool, **without: tuple[str, ...]) -> Path:
    """Write the tables into a folder, some columns left out by table."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, columns in shop().items():
        kept = {c: v for c, v in columns.items() if c not in without.get(name, ())}
        if not csv:
            pq.write_table(pa.table(kept), folder / f"{name}.parquet")
            continue
        if name == "items":
            kept["genres"] = ["|".join(one) for one in kept["genres"]]
            kept["photo"] = [" ".join(map(str, one)) for one in kept["photo"]]
            kept["note"] = [""] * ITEMS
        pyarrow.csv.write_csv(pa.table(kept), folder / f"{name}.csv")
    return folder
