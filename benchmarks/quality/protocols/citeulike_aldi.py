"""CiteULike-a, the split of ALDI and ColdRec: warm and cold items, apart and competing."""

from pathlib import Path

import pyarrow as pa

from benchmarks.quality.protocols import citeulike
from benchmarks.quality.protocols.base import Protocol, Tables, ids, pairs

PARTS = ("aldi_warm_emb", "aldi_warm_val", "aldi_warm_test")
COLD = ("aldi_cold_item_val", "aldi_cold_item_test")
MEASURED_USERS = 2000
Pair = tuple[int, int]


def tables(folder: Path) -> Tables:
    """Turn the split into tables: candidates, masks and measured users of each slice.

    What a user is known to like outside the part that is measured is masked, train and
    validation alike. Users are the first 2,000 in the order that Python's set has them, as the
    published code takes them.
    """
    found = {name: _pairs(citeulike.read(folder, name)) for name in (*PARTS, *COLD)}
    warm, cold = found["aldi_warm_test"], found["aldi_cold_item_test"]
    every = {pair for one in found.values() for pair in one}
    items = citeulike.items_table(folder)
    trained = {str(item) for _, item in found["aldi_warm_emb"]}
    known = items["item_id"].to_pylist()
    both = {user for user, _ in warm} & {user for user, _ in cold}
    hybrid = [pair for pair in [*cold, *warm] if pair[0] in both]
    return Tables(
        users=citeulike.users_table(folder),
        items=items,
        train=citeulike.interactions(folder, "aldi_warm_emb"),
        test=citeulike.interactions(folder, "aldi_warm_test", "aldi_cold_item_test"),
        beside={
            "warm_candidates": pa.table({"item_id": [one for one in known if one in trained]}),
            "cold_candidates": pa.table({"item_id": [one for one in known if one not in trained]}),
            "warm_mask": _table(every - set(warm)),
            "cold_mask": _table(every - set(cold)),
            "all_mask": _table(every - set(hybrid)),
            "warm_users": _first({user for user, _ in warm}),
            "cold_users": _first({user for user, _ in cold}),
            "all_users": _first(both),
        },
    )


def _pairs(rows: pa.Table) -> list[Pair]:
    return list(zip(rows["user_id"].to_pylist(), rows["item_id"].to_pylist(), strict=True))


def _table(found: set[Pair]) -> pa.Table:
    in_order = sorted(found)
    return pairs([user for user, _ in in_order], [item for _, item in in_order])


def _first(users: set[int]) -> pa.Table:
    return pa.table({"user_id": ids(list(users)[:MEASURED_USERS])})


PROTOCOL = Protocol(
    name="citeulike_aldi",
    selected_on="citeulike_cold",
    source=citeulike.SOURCE,
    title="CiteULike-a, split of ALDI",
    described=(
        "132,073 train pairs of 13,584 warm items; 16,482 warm and 20,158 cold pairs test. "
        "Candidates: the warm items, the 3,396 cold ones, or all, without the user's other known "
        "items; `all` is of users with a warm and a cold test pair. The first 2,000 users of each "
        "slice, in the order of Python's set. " + citeulike.DIFFERS
    ),
    tables=tables,
    split={
        "candidates": {"warm": "warm_candidates.parquet", "cold_item": "cold_candidates.parquet"},
        "mask": {
            "warm": "warm_mask.parquet",
            "cold_item": "cold_mask.parquet",
            "all": "all_mask.parquet",
        },
        "users": {
            "warm": "warm_users.parquet",
            "cold_item": "cold_users.parquet",
            "all": "all_users.parquet",
        },
        "validation": citeulike.VALIDATION,
    },
    contents=citeulike.CONTENTS,
    slices=("warm", "cold_item", "all"),
    figures=("recall@20", "ndcg@20"),
)
