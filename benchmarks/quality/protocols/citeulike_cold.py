"""CiteULike-a, the cold fold of DropoutNet: a fifth of the items has no train pair."""

from pathlib import Path

from benchmarks.quality.protocols import citeulike
from benchmarks.quality.protocols.base import Protocol, Published, Tables, ids


def tables(folder: Path) -> Tables:
    """Turn the fold into tables."""
    candidates = citeulike.read(folder, "dropoutnet_cold_test_item_ids")
    return Tables(
        users=citeulike.users_table(folder),
        items=citeulike.items_table(folder),
        train=citeulike.interactions(folder, "dropoutnet_cold_train"),
        test=citeulike.interactions(folder, "dropoutnet_cold_test"),
        beside={"candidates": candidates.set_column(0, "item_id", ids(candidates["item_id"]))},
    )


PROTOCOL = Protocol(
    name="citeulike_cold",
    source=citeulike.SOURCE,
    title="CiteULike-a, cold fold of DropoutNet",
    described=(
        "164,210 train pairs of 13,584 items; the 40,776 pairs of the other 3,396 items test. "
        "Candidates: those 3,396. recall@k is hits over all of a user's test items. "
        + citeulike.DIFFERS
    ),
    tables=tables,
    split={"candidates": {"cold_item": "candidates.parquet"}, "validation": citeulike.VALIDATION},
    contents=citeulike.CONTENTS,
    slices=("cold_item",),
    figures=("recall@20", "recall@100", "ndcg@20", "ndcg@100"),
    published=(
        Published(
            "DropoutNet, logged official run",
            {("cold_item", "recall@100"): ".6493", ("cold_item", "recall@20"): ".3218"},
            "published: other text content, best step picked on test",
        ),
        Published(
            "shared_rep", {("cold_item", "recall@100"): ".671"}, "published: its k is not stated"
        ),
    ),
)
