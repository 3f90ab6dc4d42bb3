"""KuaiRand-Pure: two weeks of short-video exposures, cold users and cold videos held out."""

import tempfile
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.quality.protocols.base import Content, Protocol, Tables
from examples.kuairand.prepare import prepare


def tables(folder: Path) -> Tables:
    """Turn the log into the example's tables, those that test apart."""
    with tempfile.TemporaryDirectory() as made:
        prepare(folder, Path(made))
        names = ("interactions", "users", "items", "cold")
        found = {name: pq.read_table(Path(made) / f"{name}.parquet") for name in names}
    rows = found["interactions"]
    by_part = {p: rows.filter(pc.equal(rows["split"], p)).drop_columns("split") for p in PARTS}
    return Tables(
        users=found["users"],
        items=found["items"],
        train=by_part["train"],
        test=by_part["test"],
        both={"cold": found["cold"]},
    )


PARTS = ("train", "test")
PROTOCOL = Protocol(
    name="kuairand",
    source="kuairand_pure",
    title="KuaiRand-Pure",
    described=(
        "Exposures until 30 April train, those of 1-8 May test; 15 % of the users and 15 % of "
        "the videos are cold. The label is a long view. Candidates: all videos that the user has "
        "not viewed long (warm, cold user), or the cold ones (cold item, both). GAUC is of the "
        "exposed rows."
    ),
    tables=tables,
    split={"cold": "cold.parquet", "validation": {"pairs": 0.1, "items": 0.1, "users": 0.1}},
    contents={
        "all": Content(
            "tags, author, music, kinds and sizes of the videos", "kuairand", "kuairand_rows"
        )
    },
    slices=("warm", "cold_user", "cold_item", "cold_both", "all"),
    figures=("recall@100", "ndcg@100", "gauc"),
    head="base",  # validation cannot tell it from din, and it is the simpler one
)
