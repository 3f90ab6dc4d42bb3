"""Keys are masked wherever they stand, and nothing else is."""

import json
from collections.abc import Iterator
from urllib.parse import quote, quote_plus, unquote_plus

import pytest
from pydantic import SecretStr

from service.errors import InvalidRecord, UnknownItem, UnknownRoute
from service.keys.hidden import HIDDEN
from service.keys.key import new_key
from service.keys.mask import MASK, mask_token, masked, masked_value
from service.keys.ring import KeyRing
from service.settings import Settings

KEY, _ = new_key("canary", "recall")
TOKEN = """canary+token/of'the"settings=%41\\"""


@pytest.fixture
def with_token() -> Iterator[None]:
    KeyRing(Settings(admin_token=SecretStr(TOKEN)))
    yield
    mask_token(None)


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


@pytest.mark.usefixtures("with_token")
@pytest.mark.parametrize(
    "written",
    [TOKEN, repr(TOKEN)[1:-1], json.dumps(TOKEN)[1:-1], quote(TOKEN), quote_plus(TOKEN)]
    + [unquote_plus(TOKEN), json.dumps(repr(TOKEN)[1:-1])[1:-1]],
)
def test_the_token_of_the_settings_is_masked_however_it_is_written(written: str) -> None:
    assert masked(f"/items/{written}/similar") == f"/items/{HIDDEN}/similar"
    assert written not in str(UnknownItem(written).body())
    assert masked("canary+token") == "canary+token"


def test_a_token_is_masked_by_the_process_that_has_it() -> None:
    KeyRing(Settings())
    assert masked(TOKEN) == TOKEN


def test_a_key_is_masked_before_what_it_stands_in_is_cut() -> None:
    assert KEY[:16] not in UnknownRoute("/" + "x" * 60 + KEY).detail
