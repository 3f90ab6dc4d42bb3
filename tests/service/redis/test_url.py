"""What may stand in the URL of a Redis; whatever is wrong with one, its secrets are not told."""

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.contract.errors import ConfigError
from service.redis.url import RedisUrl, missing_file, read_url
from service.settings import read_settings

DOC = Path(__file__).parents[3] / "docs" / "settings.md"
ONE = RedisUrl("one", False, (("localhost", 6379),))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis://", ONE),
        ("redis://localhost/", ONE),
        ("redis://h:1/3", RedisUrl("one", False, (("h", 1),), options={"db": 3})),
        ("redis://h:1?db=3", RedisUrl("one", False, (("h", 1),), options={"db": 3})),
        ("redis://[::1]:7", RedisUrl("one", False, (("::1", 7),))),
        ("redis://me@h", RedisUrl("one", False, (("h", 6379),), options={"username": "me"})),
        (
            "rediss://me:s%2Fe%40c@h?ssl_cert_reqs=none&ssl_check_hostname=false&ssl_ca_certs=/a%20b",
            RedisUrl(
                "one",
                True,
                (("h", 6379),),
                options={
                    "username": "me",
                    "password": "s/e@c",
                    "ssl_cert_reqs": "none",
                    "ssl_check_hostname": False,
                    "ssl_ca_certs": "/a b",
                },
            ),
        ),
        (
            "unix:///run/a%20b.sock?db=2&password=p",
            RedisUrl("one", False, path="/run/a b.sock", options={"db": 2, "password": "p"}),
        ),
        (
            "redis+cluster://:p@a,b:1,[::2]:3/0",
            RedisUrl(
                "cluster",
                False,
                (("a", 6379), ("b", 1), ("::2", 3)),
                options={"db": 0, "password": "p"},
            ),
        ),
        (
            "rediss+sentinel://m:p@a,b:1/ours?db=4&sentinel_username=s&sentinel_password=q&ssl_keyfile=/k",
            RedisUrl(
                "sentinel",
                True,
                (("a", 26379), ("b", 1)),
                service="ours",
                options={"username": "m", "password": "p", "db": 4, "ssl_keyfile": "/k"},
                asking={"username": "s", "password": "q", "ssl_keyfile": "/k"},
            ),
        ),
    ],
)
def test_each_form_is_read(text: str, expected: RedisUrl) -> None:
    assert read_url(text) == expected


SECRET = "hunter2"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("hunter2", "begins with one of redis://, rediss://"),
        ("http://hunter2", "begins with one of"),
        ("redis:/hunter2", "begins with one of"),
        ("redis://:hunter2/x@h", "percent-encode"),
        ("redis://:hunter2?x@h", "percent-encode"),
        ("redis://:hunter2#x@h", "%23"),
        ("redis://me:1/hunter2@h", "percent-encode"),
        ("redis://me:1?hunter2@h", "percent-encode"),
        ("redis+sentinel://me:1/hunter2@h/ours", "percent-encode"),
        ("redis://h:hunter2", "the port is no number"),
        ("redis://h:65536", "the port is no number from 0 to 65535"),
        ("redis://[hunter2", "HOST:PORT"),
        ("redis://[::1]hunter2:5", "HOST:PORT"),
        ("redis://a[hunter2]:5", "HOST:PORT"),
        ("redis://:hunter2\n@h", "got a control character (U+000A)"),
        ("redis://:hun\tter2@h", "got a control character (U+0009)"),
        ("redis://:hunter2\x7f@h", "%7F"),
        ("redis://h\n", "got a control character"),
        ("unix:///s?password=hunter2&", "%26"),
        ("unix:///s?password=hunter2&&db=1", "%26"),
        ("redis://:6379", "HOST:PORT"),
        ("redis://h/hunter2", "the database is no number"),
        ("redis://h?db=hunter2", "db is no number"),
        ("redis://h?db=1&db=2", "db is given twice"),
        ("redis://a,b", "several hosts"),
        ("redis://h?socket_timeout=9", "another option"),
        ("redis://h?retry_on_timeout=1", "another option"),
        ("redis://h?ssl_ca_certs=/hunter2", "for rediss://"),
        ("redis://h?sentinel_password=hunter2", "for redis"),
        ("rediss://h?ssl_cert_reqs=hunter2", "expected one of required, optional, none"),
        ("rediss://h?ssl_check_hostname=hunter2", "expected true or false"),
        ("redis+cluster://h/1", "a cluster has no databases"),
        ("redis+cluster://", "HOST:PORT"),
        ("redis+cluster://a,,b", "HOST:PORT"),
        ("redis+sentinel://a:1", "/SERVICE"),
        ("redis+sentinel://a:1/ours/2", "/SERVICE"),
        ("unix://", "unix:///PATH"),
        ("unix://hunter2", "unix:///PATH"),
    ],
)
def test_what_is_wrong_is_told_without_the_secret(text: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings({"FIRSTSIGHT_REDIS": text})
    said = str(caught.value)
    assert said.startswith("FIRSTSIGHT_REDIS: ")
    assert why in said
    assert SECRET not in said


@given(st.text(max_size=20), st.text(st.characters(codec="utf-8"), max_size=20))
def test_any_encoded_password_is_read_and_told_nowhere(name: str, password: str) -> None:
    name = name.encode(errors="ignore").decode()
    text = f"redis+cluster://{quote(name, safe='')}:{quote('§' + password, safe='')}@h:1"
    url = read_url(text)
    assert url.options.get("username", "") == name
    assert url.options["password"] == "§" + password
    assert "§" not in f"{url} {url!r}"


@given(st.text(st.sampled_from("redis+cluster:/@?#[],%&=.sentinel0x9 "), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        url = read_url("redis" + text)
        assert url.hosts or url.path


def test_it_says_where_it_leads() -> None:
    told = {
        "redis://u:p@h": "h:6379",
        "redis+cluster://a,[::1]:2": "a:6379,[::1]:2",
        "redis+sentinel://a/ours": "ours of a:26379",
        "unix:///a.sock?password=p": "/a.sock",
    }
    assert {text: str(read_url(text)) for text in told} == told


def test_a_file_that_is_not_there_is_named() -> None:
    assert (
        missing_file(read_url("rediss://h?ssl_keyfile=/nowhere")) == "ssl_keyfile: no file /nowhere"
    )
    assert missing_file(read_url(f"rediss://h?ssl_ca_certs={__file__}")) is None


def encoded_by_the_docs() -> dict[str, str]:
    """Return the characters that the docs say must be written percent-encoded, and how."""
    line = next(one for one in DOC.read_text().splitlines() if one.startswith("`/`, `?`"))
    assert "a `:` in a name too, `%3A`" in line
    raw, _, told = line.partition("percent-encoded:")
    codes = re.findall(r"`(%[0-9A-F]{2})`", told.partition(";")[0])
    return dict(zip(re.findall(r"`(.)`", raw), codes, strict=True))


PLACES: dict[str, Callable[[RedisUrl], object]] = {
    "redis://{}:p@h": lambda url: url.options.get("username"),
    "redis://me:{}@h": lambda url: url.options["password"],
    "redis+cluster://me:{}@h,i": lambda url: url.options["password"],
    "redis+sentinel://me:{}@h/ours": lambda url: url.options["password"],
    "redis+sentinel://h/ours?sentinel_password={}": lambda url: url.asking["password"],
    "unix:///s?username={}": lambda url: url.options.get("username"),
    "unix:///s?password={}": lambda url: url.options["password"],
    "unix:///{}": lambda url: url.path and url.path[1:],
}
CHARACTERS = [chr(n) for n in range(0x20, 0x100) if n != 0x7F]


def readings(place: str, one: str, written: str) -> list[bool]:
    """Say of a character in front, between and at the end whether it is read as it is."""
    outcomes = []
    for before, behind in (("", "41"), ("41", "41"), ("41", "")):
        try:
            url = read_url(place.format(before + written + behind))
        except ValueError:
            outcomes.append(False)
        else:
            outcomes.append(PLACES[place](url) == before + one + behind)
    return outcomes


@pytest.mark.parametrize("place", PLACES)
def test_what_the_docs_do_not_name_is_read_as_it_is_and_what_they_name_if_encoded(
    place: str,
) -> None:
    told = encoded_by_the_docs()
    assert {one: unquote(code) for one, code in told.items()} == {one: one for one in told}
    name_ends_at = {":"} if place == "redis://{}:p@h" else set()
    for one in CHARACTERS:
        if one not in told.keys() | name_ends_at:
            assert all(readings(place, one, one)), one
        assert all(readings(place, one, quote(one, safe=""))), one
    for code in range(0x20):
        assert all(readings(place, chr(code), f"%{code:02X}"))
        assert not any(readings(place, chr(code), chr(code)))


def test_each_of_those_that_the_docs_name_must_be_encoded_somewhere() -> None:
    for one in [*encoded_by_the_docs(), ":"]:
        assert any(not all(readings(place, one, one)) for place in PLACES), one
