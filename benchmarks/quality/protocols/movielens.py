"""MovieLens-1M with a stored split: a fifth of the users and a fifth of the movies are cold."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.quality.protocols.base import Content, Protocol, Tables, ids, pairs

LISTS = {"genres": "|", "actors": ", ", "director": ", "}


def tables(folder: Path) -> Tables:
    """Turn the stored split into tables; the label is `like`, and nobody's rating time is known."""
    rows = pq.read_table(folder / "interactions.parquet")
    part = np.array(rows["split"].cast(pa.string()).to_pylist())
    train = rows.filter(pa.array(part == "train"))
    rated = pc.unique(train["item_id"])
    return Tables(
        users=users_table(pq.read_table(folder / "users.parquet")),
        items=items_table(pq.read_table(folder / "movies.parquet")),
        train=_labelled(train),
        test=_labelled(rows.filter(pa.array(part != "train"))),
        both={"cold": _cold(rows, part)},
        beside={
            "rated": pa.table({"item_id": ids(rated.to_pylist())}),
            "seen": pairs(train["user_id"].to_pylist(), train["item_id"].to_pylist()),
        },
    )


def users_table(source: pa.Table) -> pa.Table:
    """user_id and features, codes as text; `area` is the first three figures of the zip code."""
    codes = {name: ids(source[name].to_pylist()) for name in ("gender", "age", "occupation")}
    area = [str(one)[:3] for one in source["zip"].to_pylist()]
    return pa.table({"user_id": ids(source["user_id"].to_pylist()), **codes, "area": area})


def items_table(source: pa.Table) -> pa.Table:
    """item_id and features: `title` without its year, `plot`, lists of names, `decade`."""
    found = {"item_id": ids(source["item_id"].to_pylist())}
    titles = [one.rsplit(" (", 1)[0] for one in source["title"].to_pylist()]
    found["title"] = pa.array(titles, pa.string())
    for name, mark in LISTS.items():
        lists = [_split(one, mark) for one in source[name].to_pylist()]
        found[name] = pa.array(lists, pa.list_(pa.string()))
    years = source["year"].to_pylist()
    found["year"] = pa.array(years, pa.float32())
    found["decade"] = pa.array([None if one is None else str(one // 10) for one in years])
    found["certificate"] = source["certificate"].cast(pa.string())
    found["plot"] = source["plot"].cast(pa.string())
    return pa.table(found)


def _split(text: str | None, mark: str) -> list[str]:
    words = (text or "").split(mark)
    return list(dict.fromkeys(one.strip() for one in words if one.strip()))


def _labelled(rows: pa.Table) -> pa.Table:
    found = pairs(rows["user_id"].to_pylist(), rows["item_id"].to_pylist())
    return found.append_column("label", rows["like"].cast(pa.int8()))


def _cold(rows: pa.Table, part: np.ndarray) -> pa.Table:
    """Return the ids that were drawn to be cold, which the stored parts tell."""
    of = {"user": ("cold_user", "cold_both"), "item": ("cold_item", "cold_both")}
    kinds: list[str] = []
    found: list[int] = []
    for kind, names in of.items():
        column = rows[f"{kind}_id"].filter(pa.array(np.isin(part, names)))
        cold = np.unique(column.to_numpy()).tolist()
        kinds += [kind] * len(cold)
        found += cold
    return pa.table({"kind": kinds, "id": ids(found)})


PROTOCOL = Protocol(
    name="movielens",
    source="movielens_1m",
    title="MovieLens-1M",
    described=(
        "A fifth of the users and a fifth of the movies are cold; 569,357 pairs train. The label "
        "is a rating of 4 or more. Candidates: the train movies that the user has not rated "
        "(warm, cold user), or the cold movies (cold item, both). GAUC is of liked against "
        "not-liked movies that the user rated."
    ),
    tables=tables,
    split={
        "cold": "cold.parquet",
        "candidates": {"warm": "rated.parquet", "cold_user": "rated.parquet"},
        "mask": {"warm": "seen.parquet", "all": "seen.parquet"},
        "validation": {"pairs": 0.1, "items": 0.1, "users": 0.1},
    },
    contents={"all": Content("genres, people, plots, titles, years", "movielens")},
    slices=("warm", "cold_user", "cold_item", "cold_both", "all"),
    figures=("recall@20", "recall@100", "ndcg@100", "gauc"),
)
