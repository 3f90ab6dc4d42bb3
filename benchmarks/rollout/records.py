"""What every user and item of the rollouts' world is: told by its id, so nobody has to keep it."""

import hashlib
from typing import Any

from export.contract.schema import Schema
from export.contract.side import Side

NUMBERS = ("x0", "x1", "x2", "x3")
WIDTH = 4.0  # the range of a number, around 0


def cluster_words(items: int) -> tuple[str, ...]:
    """Return the words of the catalogue's clusters: at most 2,000, with ten items or more each."""
    return tuple(f"c{number}" for number in range(max(2, min(2000, items // 10))))


def record(one: str, edition: int, clusters: int) -> dict[str, Any]:
    """Return the flat record of a user or an item in its first (0) or a later edition.

    Half of them have a preference, in all their editions: so what is stored of one edition never
    has to be laid over what was stored of another.
    """
    drawn = hashlib.blake2b(f"{one}#{edition}".encode(), digest_size=16).digest()
    parts = [int.from_bytes(drawn[at : at + 2], "big") for at in range(4, 14, 2)]
    values = [round(WIDTH * (part / 65536 - 0.5), 3) for part in parts]
    flat = {"cluster": f"c{int.from_bytes(drawn[:4], 'big') % clusters}"}
    told = flat | dict(zip(NUMBERS, values, strict=False))
    return told | {"liked": values[4]} if has_preference(one) else told


def has_preference(one: str) -> bool:
    """Say whether a user or item has one."""
    return hashlib.blake2b(one.encode(), digest_size=1).digest()[0] < 128


def make_schema(clusters: tuple[str, ...], dim: int) -> Schema:
    """Return the schema of both sides: a cluster and four numbers, and one as preference."""
    number = {"kind": "number", "standardise": False}
    side = Side.model_validate(
        {
            "content": {"cluster": {"kind": "category", "table": "cluster"}}
            | dict.fromkeys(NUMBERS, number),
            "preference": {"liked": number},
        }
    )
    return Schema(
        user=side,
        item=side,
        dim=dim,
        similarity="cosine",
        tables={"cluster": clusters},
        rules={"user": "point_in_time", "item": "point_in_time"},
    )
