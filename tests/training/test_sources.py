from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from export.contract.side import Side
from export.contract.statistics import Profile
from export.contract.statistics.events import Events
from training.config import parse_config
from training.prepare import prepare
from training.statistics.sources import Sources

TITLES = {"a": "Red, red bicycle", "b": "A bicycle; RED", "c": "日本語 tea", "d": ""}
USERS = "uvwxyz"


@pytest.mark.parametrize("kind", ["text", "sequence", "category"])
def test_a_profile_reads_an_item_as_its_kind_does(tmp_path: Path, kind: str) -> None:
    shop = {
        "items": {"item_id": list(TITLES), "title": list(TITLES.values())},
        "users": {"user_id": list(USERS)},
        "interactions": {
            "user_id": [user for user in USERS for _ in TITLES],
            "item_id": [item for _ in USERS for item in TITLES],
        },
    }
    for name, columns in shop.items():
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    raw = {
        "data": {"folder": str(tmp_path)},
        "user": {"preference": {"taste": {"kind": "tags", "aggregate": "profile", "of": "title"}}},
        "item": {"content": {"title": {"kind": kind, "min_count": 1}}},
        "split": {"kind": "held_out_ids", "cold_items": 0, "cold_users": 0},
        "tower": {"kind": "additive"},
        "losses": [{"kind": "in_batch_softmax"}],
        "negatives": [{"kind": "in_batch"}],
    }
    prepared = prepare(parse_config(raw, tmp_path / "train.yaml"))
    items: Side = prepared.schema.item
    found = Sources(prepared.data, items).words("title")
    title = items.features["title"]
    read = {one: title.words(title.cell(text)) for one, text in TITLES.items()}
    for row, one in enumerate(prepared.data.items.ids):
        values = found.items.values[found.items.indptr[row] : found.items.indptr[row + 1]]
        words = {found.words[at] for at in values}
        assert words == set(read[one])
        folded = Profile(of="title").fold(Events.history([one]), 1.0, items=read.get)
        assert set(folded or ()) == words
