import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.contract.errors import RecordError
from export.contract.side import Record
from service.records import (
    HIGHEST_REV,
    ItemRecord,
    Unreadable,
    UserRecord,
    parse_posted,
    read_item,
    read_user,
    state_of,
    write_json,
)
from tests.tiny import tiny_schema

SCHEMA = tiny_schema()
words = st.text(st.characters(codec="utf-8", exclude_characters="\x1f"), min_size=1)
contents = st.fixed_dictionaries(
    {}, optional={"topics": st.lists(words, unique=True), "length": st.floats(-1e6, 1e6)}
)
preferences = st.none() | st.fixed_dictionaries({}, optional={"clicks": st.floats(0, 1e6)})


def stored(**members: object) -> bytes:
    return orjson.dumps({"id": "x", "rev": 1, "op": "put", "content": {}} | members)


@given(words, contents, preferences)
def test_a_written_user_or_item_reads_back(
    one: str, content: Record, preference: Record | None
) -> None:
    user = UserRecord(one, {"age": 3.0}, None, "as of then")
    assert read_user(SCHEMA.user, one, write_json(user)) == user
    item = ItemRecord(one, 5, "put", content, preference)
    value = b'{"op":"put","rev":5,"preference_as_of":null,' + write_json(item)[1:]
    assert read_item(SCHEMA.item, one, value) == item


def test_what_another_schema_wrote_is_missing_and_counted() -> None:
    value = stored(content={"topics": "art", "length": 3, "mood": 1, "clicks": 2}, preference=[7])
    item = read_item(SCHEMA.item, "x", value)
    assert item.record == {"length": 3.0}
    assert item.ignored == 4
    assert item.preference is None


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        stored(id="y"),
        stored(op="move"),
        stored(op=None),
        stored(rev=0),
        stored(rev=True),
        stored(rev=1.5),
        stored(rev="1"),
        stored(rev=HIGHEST_REV),
    ],
)
def test_what_is_no_item_record_is_unreadable(value: bytes) -> None:
    with pytest.raises(Unreadable):
        read_item(SCHEMA.item, "x", value)


def test_a_record_of_another_user_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        read_user(SCHEMA.user, "x", write_json(UserRecord("y", {})))


def test_posted_features_fall_into_their_groups() -> None:
    one, groups = parse_posted(SCHEMA.user, {"id": "u", "age": 3, "country": None, "recent": ["a"]})
    assert one == "u"
    assert groups.content == {"age": 3.0}
    assert groups.preference == {"recent": ["a"]}


def test_a_preference_that_is_not_given_is_not_written_and_null_forgets_it() -> None:
    assert parse_posted(SCHEMA.item, {"id": "x"})[1].preference is None
    assert parse_posted(SCHEMA.item, {"id": "x", "clicks": None})[1].preference is None
    assert parse_posted(SCHEMA.item, {"id": "x", "preference": None})[1].preference == {}
    given_too = {"id": "x", "preference": None, "clicks": 2}
    assert parse_posted(SCHEMA.item, given_too)[1].preference == {"clicks": 2.0}


def test_every_fault_of_a_posted_record_is_named() -> None:
    with pytest.raises(RecordError) as caught:
        parse_posted(SCHEMA.user, {"age": "old", "tab": "1", "mood": 1, "preference": {"a": 1}})
    named = [fault.feature for fault in caught.value.faults]
    assert sorted(named) == ["age", "id", "mood", "preference", "tab"]


@pytest.mark.parametrize("one", [None, "", 7, "a\nb", "é" * 129, "\ud800"])
def test_a_posted_record_needs_an_id(one: object) -> None:
    with pytest.raises(RecordError, match="'id'"):
        parse_posted(SCHEMA.item, {"id": one})


def test_text_that_is_not_utf_8_is_a_fault_of_the_record() -> None:
    with pytest.raises(RecordError):
        write_json(ItemRecord("x", 0, "put", {"topics": ["\ud800"]}))


def test_the_state_says_what_is_dropped() -> None:
    assert state_of(SCHEMA.item, {"clicks": 0.0}) == ("warm", [])
    assert state_of(SCHEMA.item, {"length": 1.0}) == ("cold", ["preference"])
    assert state_of(SCHEMA.item, {}) == ("fallback", ["content", "preference"])
    assert state_of(SCHEMA.user, {"tab": "1"})[0] == "fallback"


def test_item_of_fewer_interactions_than_asked_for_is_cold() -> None:
    item = SCHEMA.item.model_copy(update={"present_when": "interactions >= 5"})
    assert state_of(item, {"clicks": 5.0}) == ("warm", [])
    assert state_of(item, {"clicks": 4.0, "length": 1.0}) == ("cold", ["preference"])
    assert state_of(item, {"clicks": 4.0}) == ("fallback", ["content", "preference"])
