"""A cross is made of categories in the graph, and never given."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from export.contract.errors import RecordError
from export.contract.features import FIRST_WORD_ROW, MISSING_ROW, UNKNOWN_ROW, Cross
from export.contract.schema import Schema
from export.contract.side import SIDES, Side, SideName
from tests.export.contract.encoded import OTHER, encode

PARTS = {"a": {"kind": "category"}, "b": {"kind": "category"}}
TABLES = {"a": ("x", "y"), "b": ("x", "z")}
PAIRS = ("x\x1fx", "y\x1fz", "q\x1fx")


def schema_with(cross: dict[str, Any], side: SideName = "item") -> Schema:
    """Return a schema with `ab` of `a` and `b`, and a category after it on the list."""
    content = {"ab": {"kind": "cross", "of": ["a", "b"], **cross}, **PARTS}
    tables: dict[str, tuple[str, ...]] = {f"{side}.{name}": words for name, words in TABLES.items()}
    if cross.get("vocabulary") != "hashed":
        tables[f"{side}.ab"] = PAIRS
    sides: dict[str, Any] = {"user": OTHER, "item": OTHER}
    sides[side] = Side.model_validate({"content": content})
    return Schema(**sides, dim=4, tables=tables)


def rows(schema: Schema, records: list[dict[str, Any]], side: SideName = "item") -> list[int]:
    column = schema.side(side).ids.index("ab")
    found: list[int] = encode(schema, records, side=side)["ids"][:, column].tolist()
    return found


@pytest.mark.parametrize("side", SIDES)
def test_pairs_have_the_rows_of_their_table(side: SideName) -> None:
    records = [
        {"a": "x", "b": "x"},
        {"a": "y", "b": "z"},
        {"a": "q", "b": "x"},  # q is unknown to a; the pair is known
        {"a": "x", "b": "z"},
        {"a": "xx", "b": ""},
        {"a": "x"},
        {"b": "x"},
        {},
    ]
    assert rows(schema_with({}, side), records, side) == [
        3,
        4,
        5,
        UNKNOWN_ROW,
        UNKNOWN_ROW,
        1,
        1,
        1,
    ]


def test_a_client_sends_nothing_new() -> None:
    side = schema_with({}).item
    assert [(one.name, one.shape) for one in side.inputs] == [("strings", ("batch", 2))]
    assert side.ids == ["a", "b", "ab"]


def test_words_of_a_pair_keep_their_places() -> None:
    schema = schema_with({})
    assert rows(schema, [{"a": "z", "b": "y"}, {"a": "x\x1fx", "b": "x"}]) == [UNKNOWN_ROW] * 2


def test_hashed_pairs_are_mixed_as_documented() -> None:
    def expected(first: int, second: int) -> int:
        mixed = (first * 2654435761 + second) * 0x9E3779B97F4A7C15 % 2**64
        return FIRST_WORD_ROW + (mixed >> 33) % 50

    schema = schema_with({"vocabulary": "hashed", "buckets": 50})
    found = rows(
        schema, [{"a": "x", "b": "z"}, {"a": "y", "b": "x"}, {"a": "q", "b": "z"}, {"a": "x"}]
    )
    assert found == [expected(3, 4), expected(4, 3), expected(2, 4), MISSING_ROW]
    assert schema.rows("item.ab") == FIRST_WORD_ROW + 50


def test_hashed_pairs_spread_over_all_buckets() -> None:
    words = tuple(f"w{n}" for n in range(100))
    sides = {
        "user": OTHER,
        "item": {
            "content": {
                "ab": {"kind": "cross", "of": ["a", "b"], "vocabulary": "hashed", "buckets": 100},
                **PARTS,
            }
        },
    }
    schema = Schema.model_validate(
        {**sides, "dim": 4, "tables": {"item.a": words, "item.b": words}}
    )
    found = Counter(rows(schema, [{"a": a, "b": b} for a in words for b in words]))
    assert len(found) == 100
    assert max(found.values()) < 200


def of_three(cross: dict[str, Any], words: tuple[str, ...] = ()) -> Schema:
    """Return a schema with `ab`, of three categories."""
    made = {"kind": "cross", "of": ["a", "b", "c"], **cross}
    item = {"content": {**PARTS, "c": {"kind": "category"}, "ab": made}}
    tables = {"item.a": TABLES["a"], "item.b": TABLES["b"], "item.c": ("u", "v")}
    learned = {} if "buckets" in cross else {"item.ab": words}
    return Schema.model_validate(
        {"user": OTHER, "item": item, "dim": 4, "tables": {**tables, **learned}}
    )


THREE: dict[str, Any] = {"a": "x", "b": "z", "c": "v"}


def test_three_categories_are_one_word_missing_with_any_of_them() -> None:
    schema = of_three({}, ("x\x1fx\x1fu", "x\x1fz\x1fv"))
    records = [THREE, {**THREE, "c": "u"}, *({**THREE, name: None} for name in THREE)]
    assert rows(schema, records) == [FIRST_WORD_ROW + 1, UNKNOWN_ROW, *[MISSING_ROW] * 3]


def test_the_rows_of_three_are_mixed_one_after_the_other() -> None:
    number = ((3 * 2654435761 + 4) * 2654435761 + 4) * 0x9E3779B97F4A7C15 % 2**64
    schema = of_three({"vocabulary": "hashed", "buckets": 50})
    expected = FIRST_WORD_ROW + (number >> 33) % 50
    assert rows(schema, [THREE, {**THREE, "b": None}]) == [expected, MISSING_ROW]
    cross = schema.item.features["ab"]
    assert isinstance(cross, Cross)
    parts = [np.array([3, 2]), np.array([4, MISSING_ROW]), np.array([4, 4])]
    assert cross.rows_of_unknown(parts).tolist() == [expected, MISSING_ROW]


def test_hashed_threes_spread_over_all_buckets() -> None:
    words = tuple(f"w{n}" for n in range(25))
    item = of_three({"vocabulary": "hashed", "buckets": 100}).item
    tables = dict.fromkeys(("item.a", "item.b", "item.c"), words)
    schema = Schema(user=OTHER, item=item, dim=4, tables=tables)
    found = Counter(
        rows(schema, [{"a": a, "b": b, "c": c} for a in words for b in words for c in words[:16]])
    )
    assert len(found) == 100
    assert max(found.values()) < 200


def test_a_pair_with_a_hashed_part_is_looked_up_by_the_bucket() -> None:
    from export.contract.features.vocabulary import bucket

    content = {
        "a": {"kind": "category", "vocabulary": "hashed", "buckets": 10},
        "b": {"kind": "category"},
        "ab": {"kind": "cross", "of": ["a", "b"]},
    }
    item = Side.model_validate({"content": content})
    cross = item.features["ab"]
    assert isinstance(cross, Cross)
    pair = cross.make([item.features["a"], item.features["b"]], ["new", "x"])
    assert pair == f"{bucket('new', 10)}\x1fx"
    schema = Schema(
        user=OTHER, item=item, dim=4, tables={"item.b": ("x",), "item.ab": (str(pair),)}
    )
    assert rows(schema, [{"a": "new", "b": "x"}]) == [FIRST_WORD_ROW]


@pytest.mark.parametrize("value", ["x", "x\x1fx", ["x", "x"], None])
def test_a_record_that_names_it_is_refused(value: object) -> None:
    with pytest.raises(RecordError, match="no value, since it is made of 'a' and 'b'"):
        schema_with({}).item.parse({"ab": value})


def test_an_unknown_feature_is_told_those_that_can_be_given() -> None:
    with pytest.raises(RecordError, match="known features: a, b$"):
        schema_with({}).item.parse({"c": 1})


BAD: list[tuple[dict[str, Any], str]] = [
    ({"content": {"ab": {"kind": "cross", "of": ["a", "b"]}}}, "'ab': of: there is no feature 'a'"),
    ({"content": {**PARTS, "ab": {"kind": "cross", "of": ["a", "a"]}}}, "'a' twice"),
    ({"content": {**PARTS, "ab": {"kind": "cross", "of": ["a"]}}}, "of"),
    (
        {"content": {**PARTS, "ab": {"kind": "cross", "of": ["a", "b"], "vocabulary": "given"}}},
        "hashed",
    ),
    (
        {"content": {**PARTS, "c": {"kind": "number"}, "d": {"kind": "cross", "of": ["a", "c"]}}},
        "'c' is no category",
    ),
    (
        {
            "content": {"a": PARTS["a"], "ab": {"kind": "cross", "of": ["a", "b"]}},
            "preference": {"b": PARTS["b"]},
        },
        "'ab': with what it is made of, it belongs to preference",
    ),
    (
        {"content": PARTS, "preference": {"ab": {"kind": "cross", "of": ["a", "b"]}}},
        "it belongs to content",
    ),
    (
        {
            "context": {"a": PARTS["a"]},
            "preference": {"b": PARTS["b"], "ab": {"kind": "cross", "of": ["a", "b"]}},
        },
        "context and preference do not mix",
    ),
    (
        {
            "content": {"a": PARTS["a"]},
            "preference": {
                "b": {"kind": "category", "aggregate": "identity"},
                "ab": {"kind": "cross", "of": ["a", "b"]},
            },
        },
        "'b' is no category that is given",
    ),
]


@pytest.mark.parametrize(("side", "message"), BAD, ids=lambda o: str(o)[-40:])
def test_what_cannot_be_crossed_is_refused(side: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Side.model_validate(side)


@pytest.mark.parametrize("table", [["x"], ["x\x1f"], ["\x1fx"], ["x\x1fy\x1fz"], [""]])
def test_a_table_of_pairs_holds_pairs_only(table: list[str]) -> None:
    item = {"content": {**PARTS, "ab": {"kind": "cross", "of": ["a", "b"]}}}
    tables = {"item.a": [], "item.b": [], "item.ab": table}
    with pytest.raises(ValidationError, match=r"'item\.ab' holds a word twice"):
        Schema.model_validate({"user": OTHER, "item": item, "dim": 4, "tables": tables})


def test_a_table_of_threes_holds_no_pairs() -> None:
    with pytest.raises(ValidationError, match=r"'item\.ab' holds a word twice"):
        of_three({}, ("x\x1fy",))


def test_pairs_and_words_share_no_table() -> None:
    item = {
        "content": {
            **PARTS,
            "b": {"kind": "category", "table": "t"},
            "ab": {"kind": "cross", "of": ["a", "b"], "table": "t"},
        }
    }
    with pytest.raises(ValidationError, match="share table 't', but not its vocabulary"):
        Schema.model_validate({"user": OTHER, "item": item, "dim": 4, "tables": {"t": []}})


def test_invented_records_hold_none() -> None:
    from export.golden import invented

    assert not any("ab" in record for record in invented(schema_with({}), "item", 20))
