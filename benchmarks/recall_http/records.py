"""The features of the benchmark's users and items, and records drawn of them."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from export.contract.schema import Schema
from export.contract.side import Side, SideName

DIM = 64
CLUSTER, WORDS = "cluster", 1000
CATEGORIES = {"user": 9, "item": 3}  # beside the cluster
NUMBERS = {"user": 7, "item": 3}
LIKED = {"user": 3, "item": 1}  # numbers that are a preference
WORLD = 7  # seed of all that is drawn


def clusters_of(items: int) -> int:
    """Return how many clusters a catalogue has: about the root of its items."""
    return max(2, math.isqrt(items))


def make_schema(items: int) -> Schema:
    """Return the schema: 20 features of a user, ten of them words; eight of an item."""
    sides = {name: Side.model_validate(_groups(name)) for name in CATEGORIES}
    return Schema(
        user=sides["user"],
        item=sides["item"],
        dim=DIM,
        similarity="cosine",
        tables={
            CLUSTER: tuple(f"c{n}" for n in range(clusters_of(items))),
            "word": tuple(f"w{n}" for n in range(WORDS)),
        },
        rules={"user": "point_in_time", "item": "point_in_time"},
    )


def _groups(side: str) -> dict[str, Any]:
    number: dict[str, Any] = {"kind": "number", "standardise": False}
    word = {"kind": "category", "table": "word"}
    content: dict[str, Any] = {CLUSTER: {"kind": "category", "table": CLUSTER}}
    content |= {f"category{n}": word for n in range(CATEGORIES[side])}
    content |= {f"number{n}": number for n in range(NUMBERS[side])}
    return {"content": content, "preference": {f"liked{n}": number for n in range(LIKED[side])}}


def draw_records(side: SideName, items: int, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield flat records with all their features, of users or items of such a catalogue.

    Cluster c has a share in proportion to 1 / (c + 1)^.5, words are as likely as each other, and
    numbers are normal; a seed gives them again.
    """
    rng = np.random.default_rng([WORLD, seed])
    shares = np.arange(1, clusters_of(items) + 1) ** -0.5
    clusters = rng.choice(len(shares), size=count, p=shares / shares.sum())
    words = rng.integers(WORDS, size=(count, CATEGORIES[side]))
    numbers = rng.standard_normal((count, NUMBERS[side] + LIKED[side])).round(3)
    names = [*(f"number{n}" for n in range(NUMBERS[side]))]
    names += [f"liked{n}" for n in range(LIKED[side])]
    for cluster, row, values in zip(clusters, words, numbers, strict=True):
        flat: dict[str, Any] = {CLUSTER: f"c{cluster}"}
        flat |= {f"category{n}": f"w{word}" for n, word in enumerate(row)}
        yield flat | dict(zip(names, values.tolist(), strict=True))
