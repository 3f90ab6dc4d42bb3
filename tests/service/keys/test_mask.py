"""Keys are masked wherever they stand, and nothing else is."""

import pytest

from service.errors import InvalidRecord, UnknownItem
from service.keys.key import new_key
from service.keys.mask import MASK, masked, masked_value

KEY, _ = new_key("canary", "recall")


@pytest.mark.parametrize("text", ["{}", "a {} b", '"{}"', "?key={}&k=3", "/items/{}/similar"])
def test_a_key_is_masked_wherever_it_stands(text: str) -> None:
    assert masked(text.format(KEY)) == text.format(MASK)


@pytest.mark.parametrize("text", ["", "fs_", "fs_short", "user fs_1", "a" * 50])
def test_what_is_no_key_stays(text: str) -> None:
    assert masked(text) == text


def test_it_is_masked_however_deep_it_stands() -> None:
    told = masked_value({"a": [{KEY: KEY}, 3, None], "b": "c"})
    assert told == {"a": [{MASK: MASK}, 3, None], "b": "c"}


def test_a_problem_tells_what_was_sent_but_for_keys() -> None:
    assert KEY not in str(UnknownItem(KEY).body())
    assert KEY not in str(InvalidRecord.of(KEY, {"a": KEY}, "a number").body())
    assert UnknownItem("i1").body()["id"] == "i1"
