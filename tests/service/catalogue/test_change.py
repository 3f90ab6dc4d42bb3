"""What a post and a patch make of what is there, group by group."""

from typing import Any

import orjson
import pytest

from service.catalogue.change import Change, read_patch, read_post
from service.records import ItemRecord, Unread, read_item, write_json
from tests.tiny import tiny_schema

SIDE = tiny_schema().item
SERVED = ItemRecord("a", 7, "put", {"topics": ["art"], "length": 2.0}, {"clicks": 3.0}, "5-0")
TRAINED = ItemRecord("a", 0, "put", SERVED.content, SERVED.preference)


def parts(item: ItemRecord) -> tuple[Any, Any, str | None]:
    return item.content, item.preference, item.preference_as_of


@pytest.mark.parametrize(
    ("posted", "expected"),
    [
        ({}, ({}, {"clicks": 3.0}, "5-0")),
        ({"length": 1}, ({"length": 1.0}, {"clicks": 3.0}, "5-0")),
        ({"length": None, "clicks": None}, ({}, {"clicks": 3.0}, "5-0")),
        ({"clicks": 4}, ({}, {"clicks": 4.0}, None)),
        ({"preference": None}, ({}, {}, None)),
    ],
)
def test_a_post_is_all_the_content_and_keeps_preference_that_it_does_not_give(
    posted: dict[str, object], expected: object
) -> None:
    change = read_post(SIDE, {"id": "a", **posted})
    assert parts(change.applied(SERVED, SERVED)) == expected
    assert change.hangs_on_before == (change.preference is None)


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({}, (SERVED.content, {"clicks": 3.0}, "5-0")),
        ({"length": 1}, ({"topics": ["art"], "length": 1.0}, {"clicks": 3.0}, "5-0")),
        ({"length": None}, ({"topics": ["art"]}, {"clicks": 3.0}, "5-0")),
        ({"clicks": 4}, (SERVED.content, {"clicks": 4.0}, None)),
        ({"clicks": None}, (SERVED.content, {}, None)),
        ({"preference": None}, (SERVED.content, {}, None)),
        ({"preference": None, "clicks": 4}, (SERVED.content, {"clicks": 4.0}, None)),
    ],
)
def test_a_patch_merges_and_of_preference_that_it_changes_the_date_is_new(
    patch: dict[str, object], expected: object
) -> None:
    change = read_patch(SIDE, "a", patch)
    assert parts(change.applied(SERVED, SERVED)) == expected
    assert change.hangs_on_before


def test_a_group_that_a_patch_does_not_name_is_left_to_the_bundle() -> None:
    content = read_patch(SIDE, "a", {"length": 1}).applied(TRAINED, None)
    assert parts(content) == ({"topics": ["art"], "length": 1.0}, None, None)
    preference = read_patch(SIDE, "a", {"clicks": 1}).applied(TRAINED, None)
    assert parts(preference) == (None, {"clicks": 1.0}, None)
    nothing = read_patch(SIDE, "a", {}).applied(TRAINED, None)
    assert parts(nothing) == (None, None, None)


ART, STRANGE, LIKES = {"topics": ["art"]}, {"length": "long", "mood": {"a": [1]}}, {"likes": 2}
CLICKS = {"clicks": 3.0}


@pytest.mark.parametrize(
    ("change", "content", "preference"),
    [
        (read_patch(SIDE, "a", {}), ART | STRANGE, CLICKS | LIKES),
        (read_patch(SIDE, "a", {"topics": None}), STRANGE, CLICKS | LIKES),
        (read_patch(SIDE, "a", {"length": 2}), ART | STRANGE | {"length": 2.0}, CLICKS | LIKES),
        (read_patch(SIDE, "a", {"length": None}), ART | {"mood": {"a": [1]}}, CLICKS | LIKES),
        (read_patch(SIDE, "a", {"clicks": None}), ART | STRANGE, LIKES),
        (read_patch(SIDE, "a", {"preference": None}), ART | STRANGE, {}),
        (read_patch(SIDE, "a", {"preference": None, "clicks": 1}), ART | STRANGE, {"clicks": 1.0}),
        (read_post(SIDE, {"id": "a"}), {}, CLICKS | LIKES),
        (read_post(SIDE, {"id": "a", "clicks": 1}), {}, {"clicks": 1.0}),
        (read_post(SIDE, {"id": "a", "preference": None}), {}, {}),
    ],
)
def test_what_this_version_cannot_read_stays_unless_it_is_named_or_its_group_replaced(
    change: Change, content: object, preference: object
) -> None:
    stored = {"op": "put", "rev": 5, "id": "a"}
    stored |= {"content": ART | STRANGE, "preference": CLICKS | LIKES}
    item = read_item(SIDE, "a", orjson.dumps(stored))
    assert item.record == ART | CLICKS
    assert item.unread == Unread(STRANGE, LIKES)
    written = orjson.loads(write_json(change.applied(item, item)))
    assert (written["content"], written["preference"]) == (content, preference)
