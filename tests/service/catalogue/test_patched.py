"""What patches named: how it is stored, and how such a group is laid over a bundle's own."""

import orjson
import pytest

from export.contract.side import Record
from service.catalogue.patched import Patched, laid_over, read_patched
from service.records import ItemRecord, read_item, write_json
from tests.tiny import tiny_schema

SIDE = tiny_schema().item
OWN: Record = {"topics": ["art"], "length": 2.0}
GROUP: Record = {"topics": ["food"], "length": 9.0}


def stored(item: ItemRecord) -> bytes:
    return b'{"op":"put","rev":5,"preference_as_of":"5-0",' + write_json(item)[1:]


@pytest.mark.parametrize(
    "patched",
    [
        Patched(),
        Patched(content=frozenset({"length", "of another version"})),
        Patched(frozenset({"topics"}), frozenset({"clicks"})),
        Patched(preference=frozenset()),
    ],
)
def test_the_note_is_stored_with_the_item_and_only_where_there_is_one(patched: Patched) -> None:
    item = ItemRecord("x", 5, "put", GROUP, {"clicks": 3.0}, "5-0", patched=patched)
    assert read_item(SIDE, "x", stored(item)) == item
    assert ("patched" in orjson.loads(stored(item))) == (patched != Patched())


@pytest.mark.parametrize("note", [None, 3, [], {}, {"content": "length"}, {"content": [1]}])
def test_a_group_without_a_note_that_can_be_read_was_given_whole(note: object) -> None:
    assert read_patched(note) == Patched()


@pytest.mark.parametrize(
    ("group", "names", "served"),
    [
        (GROUP, None, GROUP),
        (GROUP, set(), OWN),
        (GROUP, {"length"}, {"topics": ["art"], "length": 9.0}),
        ({"length": 9.0}, {"length", "topics"}, {"length": 9.0}),
        ({}, {"length"}, {"topics": ["art"]}),
    ],
)
def test_what_was_named_lies_over_the_bundles_own_and_what_is_not_there_was_removed(
    group: Record, names: set[str] | None, served: Record
) -> None:
    named = None if names is None else frozenset(names)
    assert laid_over(OWN, group, named) == served
    assert laid_over(None, group, named) == group
