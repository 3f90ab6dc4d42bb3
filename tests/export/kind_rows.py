"""The table of parity: a row for each variant of each feature kind, and a schema of them all."""

from dataclasses import dataclass, field, replace
from itertools import chain, product
from typing import Any

from export.contract.schema import Schema
from export.contract.side import SIDES, Record, Side, SideName
from export.contract.similarity import Similarity, extra_dims

DIM = 8
WORDS = ("red", "green", "blue", "blue sky", "日本", "é")
SOME = [["red", "green"], ["nobody knows"], ["blue", "nobody knows", "red", "red"], ["é"] * 9, []]
HASHED = {"vocabulary": "hashed", "buckets": 7}


@dataclass(frozen=True)
class Row:
    """One variant of a kind: its options, values to give it, and the words of its table.

    `given` are values of a colour and a shop instead, where it is made of them.
    """

    options: dict[str, Any]
    values: list[Any]
    words: tuple[str, ...] = ()
    given: list[dict[str, Any]] = field(default_factory=list)


COLOURS = ["red", "blue sky", "nobody knows"]
NUMBERS = [0, 1, -3.5, 40, 1e6, -3.4e38]
PAIRS = [{"colour": a, "shop": b} for a, b in product([*COLOURS, None], ["red", "unheard of"])]
TEXTS = ["Red, green & BLUE", "日本語", "nobody knows it", " ".join(["blue"] * 40), ""]
VECTORS = [[1, 2, 3], [-0.5, 0, 0], [1e-9, 0, 1e-9], [0, 0, 0]]

CONTENT: dict[str, dict[str, Row]] = {
    "category": {
        "learned": Row({}, COLOURS, WORDS),
        "narrow": Row({"dim": 3}, COLOURS, WORDS),
        "given": Row({"vocabulary": "given", "words_from": WORDS}, COLOURS, WORDS),
        "hashed": Row(HASHED, COLOURS),
        "shared": Row({"table": "shared"}, COLOURS, WORDS),
    },
    "number": {
        "scaled": Row({"mean": 3, "scale": 2.5}, NUMBERS),
        "log": Row({"log1p": True, "mean": 1, "scale": 2, "dim": 3}, NUMBERS),
        "clipped": Row({"clip": [-2, 30], "mean": 0, "scale": 9}, NUMBERS),
        "plain": Row({"standardise": False}, NUMBERS[:4]),
        "cut": Row({"buckets": [-1, 0, 40]}, NUMBERS),
    },
    "tags": {
        "learned": Row({"max_length": 2, "dim": 3}, SOME, WORDS),
        "weighted": Row({"weights": True}, [{"red": 2, "é": 0.25}, {"x": 1}, {}], WORDS),
        "given": Row({"vocabulary": "given", "words_from": WORDS}, SOME, WORDS),
        "hashed": Row(HASHED, SOME),
        "attended": Row({"pooling": "attention", "dim": 3}, SOME, WORDS),
        "weighed": Row(
            {"pooling": "attention", "weights": True},
            [{"red": 2, "é": 0.25}, {"blue": 1e-30, "red": 1e30, "x": 1}, {}],
            WORDS,
        ),
        "rooted": Row(
            {"pooling": "sqrtn", "weights": True}, [{"red": 2, "é": 0.25}, {"x": 1}, {}], WORDS
        ),
    },
    "sequence": {
        "learned": Row({"max_length": 2, "dim": 3}, SOME, WORDS),
        "hashed": Row(HASHED, SOME),
        "attended": Row({"pooling": "attention"}, SOME, WORDS),
        "rooted": Row({"pooling": "sqrtn"}, SOME, WORDS),
    },
    "vector": {
        "as_it_is": Row({"size": 3}, VECTORS),
        "of_length_1": Row({"size": 3, "normalise": True, "dim": 5}, VECTORS),
    },
    "cross": {
        "learned": Row({"of": ["colour", "shop"]}, [], ("red\x1fred", "blue sky\x1fred"), PAIRS),
        "hashed": Row({"of": ["shop", "colour"], **HASHED, "dim": 3}, [], (), PAIRS),
    },
    "text": {
        "learned": Row({"dim": 3}, TEXTS, ("red", "blue", "日本", "本語")),
        "hashed": Row({"max_length": 2, **HASHED}, TEXTS),
        "attended": Row({"pooling": "attention", "dim": 3}, TEXTS, ("red", "blue", "日本")),
        "rooted": Row({"pooling": "sqrtn"}, TEXTS, ("red", "blue", "日本")),
    },
}
PREFERENCE: dict[str, dict[str, Row]] = {
    "category": {
        "identity": Row({"aggregate": "identity", "table": "shared"}, COLOURS, WORDS),
        "given": Row({}, COLOURS, WORDS),
    },
    "number": {
        "count": Row({"aggregate": "count", "mean": 5, "scale": 4, "log1p": True}, NUMBERS),
        "rate": Row({"aggregate": "rate", "mean": 0.5, "scale": 0.1}, [0, 0.1, 1]),
        "distinct": Row({"aggregate": "distinct", "of": "learned", "buckets": [1, 4]}, NUMBERS),
    },
    "tags": {
        "profile": Row(
            {"aggregate": "profile", "of": "shared", "table": "shared"},
            [{"red": 2, "é": 0.25}, {"nobody": 1}, {}],
            WORDS,
        ),
    },
    "sequence": {
        "last": Row({"aggregate": "last", "n": 5, "table": "shared"}, SOME, WORDS),
        "attended": Row(
            {"aggregate": "last", "n": 5, "table": "shared", "pooling": "attention"}, SOME, WORDS
        ),
    },
    "vector": {
        "given": Row({"size": 3}, VECTORS),
        "of_items": Row(
            {"aggregate": "item_vectors", "vectors": "looks.parquet", "size": 3}, VECTORS
        ),
    },
    "cross": CONTENT["cross"],
    "text": {"given": Row({"dim": 3}, TEXTS, ("red", "blue", "日本"))},
}
GROUPS = {"content": CONTENT, "context": CONTENT, "preference": PREFERENCE}
SHOP = {"kind": "category", **HASHED}
COLOUR = {"content": "colour", "context": "tab", "preference": "worn"}  # a category of each group


def groups_of(side: SideName) -> list[str]:
    return ["content", "context", "preference"] if side == "user" else ["content", "preference"]


def rows_of(group: str, similarity: Similarity) -> dict[str, Row]:
    """Return the rows of a group by the names that their features have.

    All variants for the cosine. An inner product changes what comes after the features, and
    context is to a tower what content is: the first variant of each kind will do.
    """
    most = None if similarity == "cosine" and group != "context" else 1
    return {
        f"{kind}-{variant}-{group}": in_group(group, row)
        for kind, variants in GROUPS[group].items()
        for variant, row in list(variants.items())[:most]
    }


def in_group(group: str, row: Row) -> Row:
    """Let what is made of others be made of a category of its own group."""
    if not row.given:
        return row
    own = COLOUR[group]
    of = [own if one == "colour" else one for one in row.options["of"]]
    given = [{own: one["colour"], "shop": one["shop"]} for one in row.given]
    return replace(row, options={**row.options, "of": of}, given=given)


def side_of(side: SideName, similarity: Similarity) -> Side:
    groups: dict[str, Any] = {}
    for group in groups_of(side):
        features = {COLOUR[group]: {"kind": "category"}} | (
            {"shop": SHOP} if group == "content" else {}
        )
        for name, row in rows_of(group, similarity).items():
            features[name] = {"kind": name.split("-")[0], **row.options}
        groups[group] = features
    return Side.model_validate(groups)


def schema_of(similarity: Similarity) -> Schema:
    tables: dict[str, tuple[str, ...]] = {"shared": WORDS}
    for side in SIDES:
        for group in groups_of(side):
            tables[f"{side}.{COLOUR[group]}"] = WORDS
            for name, row in rows_of(group, similarity).items():
                if row.words and "table" not in row.options:
                    tables[f"{side}.{name}"] = row.words
    sides = {side: side_of(side, similarity) for side in SIDES}
    dim = DIM + extra_dims(similarity)
    return Schema(**sides, dim=dim, similarity=similarity, tables=tables)


def records_of(schema: Schema, side: SideName) -> list[Record]:
    """Return records of one feature each, and an empty one."""
    rows = [rows_of(group, schema.similarity) for group in groups_of(side)]
    found = [given_to(schema, side, name, row) for each in rows for name, row in each.items()]
    return [{}, *chain.from_iterable(found)]


def given_to(schema: Schema, side: SideName, name: str, row: Row) -> list[Record]:
    """Return records that say something of one feature only, or of what it is made of."""
    raw = row.given or [{name: value} for value in row.values]
    return [schema.side(side).parse(one) for one in raw]
