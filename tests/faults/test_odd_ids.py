"""Ids of all kinds, over real HTTP: each is itself or refused; none reaches another key."""

import itertools
import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
import redis

from benchmarks.soak.replicas import redis_url
from tests.end_to_end.processes import Served, recalled
from tests.tiny import tiny_bundle

GOOD = [
    "1",
    "01",
    "1.0",
    " 1",
    "😀",
    "👩\u200d👩\u200d👧",
    "\u00e9",  # NFC
    "e\u0301",  # NFD of the same
    "Ⅷ",
    "../../etc/passwd",
    "..",
    ".",
    "a/b",
    "a%2Fb",
    "a?b=c&d#e",
    "*",
    "?",
    "[a-z]",
    "i*",
    "{fs}:item:x",
    "fs:user:u",
    "a:b:c",
    "'; FLUSHALL; --",
    '"quoted"',
    "\\",
    "nan",
    "null",
    "similar",
    "\u202egnirts",
    "\ufeff",
    "日本語",
    "x" * 256,
    "é" * 128,
]
BAD = [
    "",
    "a\x00b",
    "a\nb",
    "a\rb",
    "\x7f",
    "a\tb",
    "\x1f",
    "x" * 257,
    "é" * 129,
    "x" * 4096,
    "\x85",
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("ids")
    served = Served(folder / "data", tiny_bundle(folder / "bundles"))
    yield served
    served.kill()


def path(one: str) -> str:
    return f"/items/{quote(one, safe='')}"


def test_every_good_id_is_itself_and_no_other(served: Served) -> None:
    for number, one in enumerate(GOOD):
        posted = {"id": one, "topics": ["art"], "length": float(number)}
        status, answer = served.ask("POST", "/items", posted)
        assert (status, answer.get("id")) == (201, one), answer
    for number, one in enumerate(GOOD):
        status, answer = served.ask("GET", path(one))
        assert (status, answer["id"], answer["record"]["length"]) == (200, one, float(number))
        assert recalled(served, one)
        similar = served.ask("GET", f"{path(one)}/similar?k=1000")[1]
        assert set(GOOD) - {one} <= set(similar["items"])
        assert one not in similar["items"]
        excluded = served.ask("POST", "/recall", {"k": 1000, "exclude": [one]})[1]
        assert one not in excluded["items"]
    with redis.Redis.from_url(redis_url(served)) as client:
        stored = {one.decode() for one in client.zrange("{fs}:items", 0, -1)}
        assert stored == set(GOOD)
        for one in GOOD:
            assert json.loads(client.get(b"{fs}:item:" + one.encode()) or b"")["id"] == one
    for gone, left in itertools.pairwise(GOOD):
        assert served.ask("DELETE", path(gone))[0] == 204
        assert served.ask("GET", path(gone))[0] == 404
        assert served.ask("GET", path(left))[0] == 200
    assert served.ask("GET", "/items/i1")[0] == 200  # what is not a glob removed nothing


def test_every_bad_id_is_refused_everywhere(served: Served) -> None:
    for one in BAD:
        status, answer = served.ask("POST", "/items", {"id": one, "topics": ["art"]})
        assert (status, answer["errors"][0]["feature"]) == (422, "id"), one
        assert served.ask("POST", "/recall", {"user_id": one})[0] == 422
        if one:
            for method in ("GET", "DELETE"):
                assert served.ask(method, path(one))[0] == 422, (method, one)
            assert served.ask("PUT", f"/users/{quote(one, safe='')}", {"age": 3})[0] == 422


def test_users_with_odd_ids_are_told_apart(served: Served) -> None:
    for number, one in enumerate(GOOD):
        assert served.ask("PUT", f"/users/{quote(one, safe='')}", {"age": float(number)})[0] == 201
    for number, one in enumerate(GOOD):
        status, answer = served.ask("GET", f"/users/{quote(one, safe='')}")
        assert (status, answer["id"], answer["record"]["age"]) == (200, one, float(number))
        answer = served.ask("GET", f"/recall?user_id={quote(one, safe='')}&k=1")[1]
        assert (answer["user_id"], answer["state"]) == (one, "cold")
