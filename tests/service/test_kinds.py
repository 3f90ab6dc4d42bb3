"""Every feature kind in bodies: what is taken, stored and read back, and what is refused."""

import orjson
import pytest

from export.contract.errors import RecordError
from export.contract.features import KINDS
from export.contract.side import Record, Side
from service.errors import InvalidRecord
from service.known_user import UserReader
from service.payloads import RecallBody
from service.recall_request import check_recall
from service.records import UserRecord, parse_posted, read_user, write_json
from service.settings import Settings
from tests.floats import floats

SIDE = Side.model_validate(
    {
        "content": {
            "country": {"kind": "category"},
            "shop": {"kind": "category", "vocabulary": "hashed", "buckets": 9},
            "age": {"kind": "number", "mean": 0, "scale": 1},
            "photo": {"kind": "vector", "size": 2},
            "about": {"kind": "text"},
            "marks": {"kind": "tags", "vocabulary": "hashed", "buckets": 9},
            "steps": {"kind": "sequence"},
            "place": {"kind": "cross", "of": ["country", "shop"]},
        },
        "context": {
            "tab": {"kind": "category"},
            "view": {"kind": "vector", "size": 2},
            "tab_country": {"kind": "cross", "of": ["tab", "country"]},
        },
    }
)
GOOD = {
    "country": "de",
    "shop": 7,
    "age": 30,
    "photo": [1, 0.5],
    "about": "I like 日本!",
    "marks": ["a", "b"],
    "steps": ["a", "a"],
}
PARSED: Record = {
    "country": "de",
    "shop": "7",
    "age": 30.0,
    "photo": floats(1.0, 0.5),
    "about": "I like 日本!",
    "marks": ["a", "b"],
    "steps": ["a", "a"],
}


def test_every_kind_stands_here() -> None:
    assert {type(feature) for feature in SIDE.features.values()} == set(KINDS)


def test_a_posted_record_is_stored_and_reads_back() -> None:
    one, groups = parse_posted(SIDE, {"id": "u", **GOOD})
    assert (one, groups.content) == ("u", PARSED)
    written = write_json(UserRecord(one, groups.content))
    assert orjson.loads(written)["content"]["photo"] == [1.0, 0.5]
    assert read_user(SIDE, one, written).content == PARSED


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("photo", [1.0], "a list of 2 finite numbers, or null; this has 1"),
        ("photo", [1.0, None], "a list of 2 finite numbers, or null"),
        ("shop", 1.5, "a non-empty word, a whole number, true, false or null"),
        ("about", 3, "text or null"),
        ("marks", "a", "a list of non-empty words or null"),
        ("place", "de", "no value, since it is made of 'country' and 'shop'"),
    ],
)
def test_a_wrong_value_names_the_feature(name: str, value: object, expected: str) -> None:
    with pytest.raises(RecordError) as caught:
        parse_posted(SIDE, {"id": "u", **GOOD, name: value})
    assert [(one.feature, one.expected) for one in caught.value.faults] == [(name, expected)]


def test_context_is_read_from_bodies_and_from_queries() -> None:
    body = RecallBody(user_id="u", context={"tab": "1", "view": [1, 2]})
    assert check_recall(body, SIDE, Settings()).context == {"tab": "1", "view": floats(1.0, 2.0)}
    query = RecallBody(user_id="u", context={"tab": "1", "view": "1,2"})
    request = check_recall(query, SIDE, Settings(), from_query=True)
    assert request.context == {"tab": "1", "view": floats(1.0, 2.0)}


def test_context_that_is_made_of_others_is_refused() -> None:
    with pytest.raises(InvalidRecord) as caught:
        check_recall(RecallBody(user_id="u", context={"tab_country": "x"}), SIDE, Settings())
    assert "no value, since it is made of" in str(caught.value.body())


def test_only_context_that_could_be_given_is_said_to_be_dropped() -> None:
    request = check_recall(RecallBody(user={"country": "de"}), SIDE, Settings())
    known = UserReader(SIDE, {}).read(request, None)  # type: ignore[arg-type]
    assert known.dropped == ["preference", "context.tab", "context.view"]
