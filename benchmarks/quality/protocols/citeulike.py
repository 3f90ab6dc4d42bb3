"""What the protocols on CiteULike-a share: items with titles, tags and citations, and pairs."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import load_npz

from benchmarks.quality.protocols.base import Content, ids, pairs

SOURCE = "citeulike_a"
MIN_ITEMS = 5  # of a tag, as in the published preparation
CONTENTS = {
    "all": Content(
        "titles + tags + citations: post-hoc content (tags were given by savers)", "citeulike"
    ),
    "titles": Content("titles only", "citeulike_titles"),
}
VALIDATION = {"pairs": 0.1, "items": 0.1, "users": 0.0}
DIFFERS = (
    "Same split, candidates and metric as published, different public content: titles, tags and "
    "citations in place of the words of titles and abstracts."
)


def users_table(folder: Path) -> pa.Table:
    """Return everyone who saved an item: nothing is known of users but that."""
    found = [read(folder, f"dropoutnet_cold_{part}") for part in ("train", "test")]
    every = np.unique(np.concatenate([one["user_id"].to_numpy() for one in found]))
    return pa.table({"user_id": ids(every)})


def items_table(folder: Path) -> pa.Table:
    """Return item_id, title, `tags` (those of five items or more) and `citations`, both lists."""
    titles = read(folder, "item_titles").sort_by("item_id")
    known = titles["item_id"].to_numpy()
    return pa.table(
        {
            "item_id": ids(known),
            "title": titles["title"].cast(pa.string()),
            "tags": _lists(_tags(folder), known),
            "citations": _lists(_citations(folder), known),
        }
    )


def interactions(folder: Path, *names: str) -> pa.Table:
    """Return the pairs of some files, each a click."""
    return clicks(pa.concat_tables([read(folder, name) for name in names]))


def clicks(rows: pa.Table) -> pa.Table:
    """Return pairs as interactions."""
    found = pairs(rows["user_id"].to_pylist(), rows["item_id"].to_pylist())
    return found.append_column("label", pa.array([1] * found.num_rows, pa.int8()))


def read(folder: Path, name: str) -> pa.Table:
    """Read a table of the source."""
    return pq.read_table(folder / f"{name}.parquet")


def _tags(folder: Path) -> dict[int, list[str]]:
    matrix = load_npz(folder / "item_tags.npz").tocsc()
    told = read(folder, "tag_names")
    names = dict(zip(told["tag_id"].to_pylist(), told["tag"].to_pylist(), strict=True))
    found: dict[int, list[str]] = {}
    for tag in np.flatnonzero(np.diff(matrix.indptr) >= MIN_ITEMS):
        for item in matrix.indices[matrix.indptr[tag] : matrix.indptr[tag + 1]]:
            found.setdefault(int(item), []).append(names[int(tag)])
    return found


def _citations(folder: Path) -> dict[int, list[str]]:
    rows = read(folder, "item_citations")
    found: dict[int, list[str]] = {}
    for item, other in zip(*(column.to_pylist() for column in rows.columns), strict=True):
        found.setdefault(item, []).append(str(other))
    return found


def _lists(found: dict[int, list[str]], items: Any) -> pa.Array:
    return pa.array([found.get(int(item), []) for item in items], pa.list_(pa.string()))
