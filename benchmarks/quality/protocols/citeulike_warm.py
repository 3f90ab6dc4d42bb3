"""CiteULike-a, the warm fold of DropoutNet: every item has train pairs."""

from pathlib import Path

from benchmarks.quality.protocols import citeulike
from benchmarks.quality.protocols.base import Protocol, Published, Tables, ids


def tables(folder: Path) -> Tables:
    """Turn the fold into tables."""
    candidates = citeulike.read(folder, "dropoutnet_warm_test_item_ids")
    return Tables(
        users=citeulike.users_table(folder),
        items=citeulike.items_table(folder),
        train=citeulike.interactions(folder, "dropoutnet_warm_train"),
        test=citeulike.interactions(folder, "dropoutnet_warm_test"),
        beside={"candidates": candidates.set_column(0, "item_id", ids(candidates["item_id"]))},
    )


PROTOCOL = Protocol(
    name="citeulike_warm",
    selected_on="citeulike_cold",
    source=citeulike.SOURCE,
    title="CiteULike-a, warm fold of DropoutNet",
    described=(
        "170,988 train and 33,998 test pairs of the same 16,980 items. Candidates: all items but "
        "the user's train items. recall@k is hits over all of a user's test items. "
        + citeulike.DIFFERS
    ),
    tables=tables,
    split={"candidates": {"warm": "candidates.parquet"}, "validation": citeulike.VALIDATION},
    contents=citeulike.CONTENTS,
    slices=("warm",),
    figures=("recall@20", "recall@100", "ndcg@20", "ndcg@100"),
    published=(
        Published("DropoutNet's curve", {("warm", "recall@100"): ".592"}, "published: read off"),
    ),
)
