"""A world of two tastes, of which an item's content tells nothing: who clicks does."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

USERS, ITEMS, RARE = 200, 48, 8  # the last ones are rarely clicked

CONFIG = """
data: {folder: .}
split: {kind: given, column: split, validation: {pairs: 0, items: 0, users: 0}}
user:
  content: {age: {kind: category}}
  preference: {liked: {kind: sequence, aggregate: last, n: 20, table: liked}}
item:
  content: {colour: {kind: category}}
  preference: {own_id: {kind: category, aggregate: identity, min_count: 1}}
tower: {kind: additive, dim: 8}
losses: [{kind: in_batch_softmax, temperature: 0.2, logq: off}]
negatives: [{kind: in_batch}]
training: {epochs: 8, patience: 8, batch: 256, learning_rate: 0.02}
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a data folder: user u and item i meet gladly where both are even, or both odd."""
    folder = tmp_path / "source"
    folder.mkdir()
    rng = np.random.default_rng(3)
    user, item = (grid.ravel() for grid in np.mgrid[:USERS, :ITEMS])
    chance = np.where(item >= ITEMS - RARE, 0.1, np.where(user % 2 == item % 2, 0.9, 0.05))
    drawn = rng.random(len(user))
    met = drawn < chance + 0.05
    rows = {
        "user_id": [f"u{one}" for one in user[met]],
        "item_id": [f"i{one}" for one in item[met]],
        "label": (drawn < chance)[met].astype(np.int8),
        "split": np.where(rng.random(met.sum()) < 0.02, "test", "train"),
    }
    pq.write_table(pa.table(rows), folder / "interactions.parquet")
    ages, colours = ([str(one) for one in rng.integers(4, size=n)] for n in (USERS, ITEMS))
    users = {"user_id": [f"u{one}" for one in range(USERS)], "age": ages}
    items = {"item_id": [f"i{one}" for one in range(ITEMS)], "colour": colours}
    pq.write_table(pa.table(users), folder / "users.parquet")
    pq.write_table(pa.table(items), folder / "items.parquet")
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    return folder
