"""Bad input of every call, as a table: what is sent, the problem, and the value it names."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.errors import LEAVES, MEDIA_TYPE
from service.generation import Generation
from service.settings import Limits
from tests.service.conftest import start_redis
from tests.service.running import Service, patient

STATUS = {problem.type: problem.status for problem in LEAVES}


@pytest.fixture(scope="module")
def service(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all rows, of which none stores anything."""
    redis, url = start_redis(tmp_path_factory.mktemp("redis"))
    with Service(patient(url), Generation.load(bundle_folder)) as running:
        yield running
    redis.kill()
    redis.wait()


BAD: list[tuple[str, str, dict[str, Any], str, str | None]] = [
    ("POST", "/items", {"json": {"id": "a", "price": 3}}, "invalid-record", "price"),
    ("POST", "/items", {"json": {"id": "a", "topics": "art"}}, "invalid-record", "topics"),
    ("POST", "/items", {"json": {"id": "a", "length": "long"}}, "invalid-record", "length"),
    ("POST", "/items", {"json": {"id": "a", "length": True}}, "invalid-record", "length"),
    ("POST", "/items", {"json": {"id": "a", "topics": ["a\x1fb"]}}, "invalid-record", "topics"),
    ("POST", "/items", {"json": {"id": "a", "topics": [""]}}, "invalid-record", "topics"),
    ("POST", "/items", {"json": {"id": "a", "length": 1e39}}, "invalid-record", "length"),
    ("POST", "/items", {"content": b'{"id": "a", "length": NaN}'}, "invalid-record", "length"),
    ("POST", "/items", {"content": b'{"id": "a", "length": Infinity}'}, "invalid-record", "length"),
    ("POST", "/items", {"content": b'{"id": "a", "length": 1e999}'}, "invalid-record", "length"),
    ("POST", "/items", {"content": b'{"id": "a", "topics": NaN}'}, "invalid-record", "topics"),
    ("POST", "/items", {"content": b'{"id": NaN}'}, "invalid-record", "id"),
    ("POST", "/items", {"content": b'{"id": "\\ud800", "length": NaN}'}, "malformed", None),
    ("POST", "/recall", {"content": b'{"k": NaN}'}, "invalid-record", "k"),
    ("POST", "/recall", {"content": b'{"user": {"age": NaN}}'}, "invalid-record", "age"),
    ("PUT", "/users/u", {"content": b'{"taste": {"art": Infinity}}'}, "invalid-record", "taste"),
    ("POST", "/items", {"json": {"topics": ["art"]}}, "invalid-record", "id"),
    ("POST", "/items", {"json": {"id": 7}}, "invalid-record", "id"),
    ("POST", "/items", {"json": {"id": "x" * 300}}, "invalid-record", "id"),
    ("POST", "/items", {"json": {"id": "a\nb"}}, "invalid-record", "id"),
    ("POST", "/items", {"json": {"items": {}}}, "invalid-record", "items"),
    ("POST", "/items", {"json": {"items": [], "id": "a"}}, "invalid-record", "id"),
    ("POST", "/items", {"json": {"items": [{}] * 1001}}, "invalid-record", "items"),
    ("POST", "/items", {"json": [1]}, "invalid-record", "body"),
    ("POST", "/items", {"content": b""}, "malformed", None),
    ("POST", "/items", {"content": b'{"id": '}, "malformed", None),
    ("POST", "/items", {"content": b'{"id": "\xff"}'}, "malformed", None),
    ("POST", "/items", {"content": b'{"id": "\\ud800"}'}, "malformed", None),
    ("POST", "/items", {"content": b"[" * 100_000}, "malformed", None),
    (
        "POST",
        "/items",
        {"content": b"id=a", "headers": {"content-type": "text/csv"}},
        "unsupported-media",
        None,
    ),
    ("POST", "/items?vector=maybe", {"json": {"id": "a"}}, "invalid-record", "vector"),
    ("POST", "/items?verbose=1", {"json": {"id": "a"}}, "invalid-record", "verbose"),
    ("GET", "/items/unheard-of", {}, "unknown-item", None),
    ("GET", "/items/%FF", {}, "invalid-record", "id"),
    ("GET", "/items/" + "x" * 300, {}, "invalid-record", "id"),
    ("GET", "/items/a%00b", {}, "invalid-record", "id"),
    ("DELETE", "/items/%C3%28", {}, "invalid-record", "id"),
    ("PUT", "/users/%FF", {"json": {}}, "invalid-record", "id"),
    ("PUT", "/users/u", {"json": {"country": 1.5}}, "invalid-record", "country"),
    ("PUT", "/users/u", {"json": {"taste": {"art": -1}}}, "invalid-record", "taste"),
    ("PUT", "/users/u", {"content": b""}, "malformed", None),
    (
        "PUT",
        "/users/u",
        {"json": {}, "headers": {"if-unmodified-since": "yesterday"}},
        "invalid-record",
        "If-Unmodified-Since",
    ),
    ("GET", "/recall?user_id=u&k=0", {}, "invalid-record", "k"),
    ("GET", "/recall?user_id=u&k=1001", {}, "invalid-record", "k"),
    ("GET", "/recall?user_id=u&limit=5", {}, "invalid-record", "limit"),
    ("GET", "/recall?user_id=" + "x" * 300, {}, "invalid-record", "user_id"),
    ("GET", "/recall?user_id=%FF", {}, "invalid-record", "user_id"),
    ("GET", "/recall?user_id=", {}, "invalid-record", "user_id"),
    ("GET", "/recall", {}, "invalid-record", "user_id"),
    ("GET", "/recall?user_id=u&context.hour=5", {}, "invalid-record", "context.hour"),
    ("GET", "/recall?user_id=u&context.tab=%1F", {}, "invalid-record", "context.tab"),
    ("GET", "/recall?user_id=u&after=yesterday", {}, "invalid-record", "after"),
    ("GET", "/recall?user_id=u&exclude=" + "a," * 5000, {}, "invalid-record", "query string"),
    ("POST", "/recall", {"json": {"k": 0}}, "invalid-record", "k"),
    ("POST", "/recall", {"json": {"k": 10.5}}, "invalid-record", "k"),
    ("POST", "/recall", {"json": {"k": True}}, "invalid-record", "k"),
    ("POST", "/recall", {"json": {"limit": 1}}, "invalid-record", "limit"),
    ("POST", "/recall", {"json": {"user_id": 5}}, "invalid-record", "user_id"),
    ("POST", "/recall", {"json": {"user": []}}, "invalid-record", "user"),
    ("POST", "/recall", {"json": {"user": {"age": "old"}}}, "invalid-record", "age"),
    ("POST", "/recall", {"json": {"user": {"tab": "1"}}}, "invalid-record", "tab"),
    ("POST", "/recall", {"json": {"user": {"id": "u"}}}, "invalid-record", "id"),
    (
        "POST",
        "/recall",
        {"json": {"user": {"age": 3e38, "taste": {"art": 9e29}}}},
        "invalid-record",
        "user",
    ),
    ("POST", "/recall", {"json": {"context": {"tab": 1.5}}}, "invalid-record", "context.tab"),
    ("POST", "/recall", {"json": {"context": {"age": 3}}}, "invalid-record", "context.age"),
    ("POST", "/recall", {"json": {"history": ["i1", 2]}}, "invalid-record", "history.1"),
    ("POST", "/recall", {"json": {"history": ["i1"] * 1001}}, "invalid-record", "history"),
    ("POST", "/recall", {"json": {"exclude": ["i1"] * 10_001}}, "invalid-record", "exclude"),
    ("POST", "/recall", {"json": {"cold": 1}}, "invalid-record", "cold"),
    ("POST", "/recall", {"content": b"null"}, "invalid-record", "body"),
    (
        "GET",
        "/version",
        {"headers": {"x-request-timeout-ms": "soon"}},
        "invalid-record",
        "X-Request-Timeout-Ms",
    ),
    (
        "GET",
        "/version",
        {"headers": {"x-request-timeout-ms": "000000001" + "9" * 5000}},  # past what Python reads
        "invalid-record",
        "X-Request-Timeout-Ms",
    ),
    ("GET", "/recall?user_id=u&k=000000001" + "9" * 5000, {}, "invalid-record", "k"),
    ("GET", "/recall?user_id=u&after=1-" + "9" * 5000, {}, "invalid-record", "after"),
    ("POST", "/recall", {"content": b'{"k": 1' + b"9" * 5000 + b"}"}, "malformed", None),
    ("PATCH", "/items/i1", {"json": {"price": 3}}, "invalid-record", "price"),
    ("PATCH", "/items/i1", {"json": {"length": "long"}}, "invalid-record", "length"),
    ("PATCH", "/items/i1", {"json": {"id": "i2"}}, "invalid-record", "id"),
    ("PATCH", "/items/i1", {"json": {"preference": {}}}, "invalid-record", "preference"),
    ("PATCH", "/items/i1", {"json": {"items": []}}, "invalid-record", "items"),
    ("PATCH", "/items/i1", {"json": []}, "invalid-record", "body"),
    ("PATCH", "/items/i1", {"content": b""}, "malformed", None),
    ("PATCH", "/items/i1?verbose=1", {"json": {}}, "invalid-record", "verbose"),
    ("PATCH", "/items/%FF", {"json": {}}, "invalid-record", "id"),
    ("PATCH", "/items/nobody", {"json": {"length": 3}}, "unknown-item", None),
    ("PATCH", "/users/u", {"json": {"tab": "1"}}, "invalid-record", "tab"),
    ("PATCH", "/users/u", {"json": {"age": True}}, "invalid-record", "age"),
    ("PATCH", "/users/u", {"json": {"id": "v"}}, "invalid-record", "id"),
    ("PATCH", "/users/u", {"json": {"preference": 1}}, "invalid-record", "preference"),
    ("PATCH", "/users/u%0A", {"json": {}}, "invalid-record", "id"),
    ("GET", "/items/nobody/similar", {}, "unknown-item", None),
    ("GET", "/items/i1/similar?user_id=u", {}, "invalid-record", "user_id"),
    ("GET", "/items/i1/similar?k=many", {}, "invalid-record", "k"),
    ("GET", "/items/i1/similar?after=now", {}, "invalid-record", "after"),
    ("GET", "/items/i1/similar?exclude=%FF", {}, "invalid-record", "exclude"),
    ("GET", "/items/%FF/similar", {}, "invalid-record", "id"),
    ("POST", "/recall/batch", {"json": {}}, "invalid-record", "requests"),
    ("POST", "/recall/batch", {"json": {"requests": {}}}, "invalid-record", "requests"),
    ("POST", "/recall/batch", {"json": {"requests": [], "k": 3}}, "invalid-record", "k"),
    ("POST", "/recall/batch", {"json": []}, "invalid-record", "body"),
    ("POST", "/embed", {"json": {}}, "invalid-record", "body"),
    ("POST", "/embed", {"json": {"users": {}}}, "invalid-record", "users"),
    ("POST", "/embed", {"json": {"items": None}}, "invalid-record", "items"),
    ("POST", "/embed", {"json": {"items": [], "context": {}}}, "invalid-record", "context"),
]


@pytest.mark.parametrize(("method", "path", "options", "type", "feature"), BAD)
def test_bad_input_is_a_problem_that_names_the_value(
    service: Service,
    method: str,
    path: str,
    options: dict[str, Any],
    type: str,
    feature: str | None,
) -> None:
    answer = service.ask(method, path, **options)
    assert answer.status_code == STATUS[type], answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    body = answer.json()
    assert body["type"] == f"/docs#{type}"
    named = [error["feature"] for error in body.get("errors", [])]
    assert named == ([] if feature is None else [feature])


AN_ID = "an id: text of 1 to 256 bytes without control characters"
A_TIMEOUT = "whole milliseconds from 1 to 600000"
BOUNDED: list[tuple[str, str, dict[str, Any], str, str, str]] = [
    *(
        ("GET", f"{path}k={k}", {}, "k", repr(k), "a whole number from 1 to 1000")
        for path in ("/recall?user_id=u&", "/items/i1/similar?")
        for k in ("-1", "0", "1001", "abc", "1.5", "", "9" * 30)
    ),
    *(
        ("POST", "/recall", {"json": {"k": k}}, "k", repr(k), "a whole number from 1 to 1000")
        for k in (-1, 0, 1001, "abc", 1.5, True, 10**18)
    ),
    *(
        (
            "POST",
            "/recall",
            {"json": {name: value}},
            name,
            got,
            f"a list of at most {most} ids",
        )
        for name, most in (("exclude", 10_000), ("history", 1000))
        for value, got in ((["i1"] * (most + 1), f"{most + 1} ids"), ("i1", "'i1'"), (3, "3"))
    ),
    *(
        ("POST", path, {"json": {name: value}}, name, got, f"a list of at most {most} {name}")
        for path, name, most in (
            ("/items", "items", 1000),
            ("/recall/batch", "requests", 256),
            ("/embed", "users", 1000),
            ("/embed", "items", 1000),
        )
        for value, got in (([{}] * (most + 1), f"{most + 1} {name}"), ({}, "{}"))
    ),
    ("POST", "/recall", {"json": {"user_id": 5}}, "user_id", "5", AN_ID),
    ("POST", "/recall", {"json": {"user_id": ""}}, "user_id", "''", AN_ID),
    ("GET", "/recall?user_id=", {}, "user_id", "''", AN_ID),
    ("POST", "/items", {"json": {"id": 7}}, "id", "7", AN_ID),
    ("GET", "/users/%1F", {}, "id", "'\\x1f'", AN_ID),
    *(
        (
            "GET",
            "/version",
            {"headers": {"x-request-timeout-ms": given}},
            "X-Request-Timeout-Ms",
            repr(given),
            A_TIMEOUT,
        )
        for given in ("0", "600001", "-1", "soon", "0000006000000", "0" * 18 + "5")
    ),
    (
        "GET",
        "/recall?" + "user_id=u&exclude=".ljust(8193, "a"),
        {},
        "query string",
        "'8193 bytes'",
        "at most 8192 bytes; send long lists by POST /recall",
    ),
]


@pytest.mark.parametrize(("method", "path", "options", "name", "got", "expected"), BOUNDED)
def test_what_is_out_of_bounds_is_told_its_bounds(
    service: Service,
    method: str,
    path: str,
    options: dict[str, Any],
    name: str,
    got: str,
    expected: str,
) -> None:
    answer = service.ask(method, path, **options)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"] == [{"feature": name, "got": got, "expected": expected}]
    assert f"got {got}, expected {expected}" in answer.json()["detail"]


def test_the_bounds_told_are_those_that_were_set(redis_url: str, bundle_folder: Path) -> None:
    settings = patient(redis_url)
    few = settings.model_copy(update={"limits": Limits(k=100, exclude=2, history=3, items=4)})
    with Service(few, Generation.load(bundle_folder)) as own:
        body = {"k": "ten", "exclude": 1, "history": 1}
        told = [one["expected"] for one in own.post("/recall", body).json()["errors"]]
        bounds = {"from 1 to 100", "at most 2 ids", "at most 3 ids"}
        assert {one for one in bounds if any(text.endswith(one) for text in told)} == bounds
        assert "at most 4 items" in own.post("/items", {"items": 1}).json()["detail"]


def test_all_parameters_at_fault_are_told_at_once(service: Service) -> None:
    answer = service.get("/recall?k=0&cold=maybe&limit=3").json()
    assert {one["feature"] for one in answer["errors"]} == {"k", "cold", "limit", "user_id"}


def test_bad_input_stores_nothing(service: Service) -> None:
    for method, path, options, *_ in BAD:
        service.ask(method, path, **options)
    assert service.generation is not None
    assert service.generation.highest_rev == 0
    assert service.get("/users/u").status_code == 404


def test_a_number_that_is_none_loses_no_other_item_of_its_batch(
    redis_url: str, bundle_folder: Path
) -> None:
    body = b'{"items": [{"id": "good", "length": 1}, {"id": "bad", "length": NaN}]}'
    with Service(patient(redis_url), Generation.load(bundle_folder)) as own:
        answer = own.ask("POST", "/items", content=body)
        assert [one["status"] for one in answer.json()["results"]] == [201, 422]
        assert own.get("/items/good").status_code == 200
        assert own.get("/items/bad").status_code == 404


MANY = 50_000
FAULTY: dict[str, tuple[str, Any]] = {
    "words in a list of ids": ("/recall", {"exclude": [1] * MANY}),
    "members": ("/recall", {f"a{number}": 1 for number in range(MANY)}),
    "features": ("/recall", {"user": {f"a{number}": 1 for number in range(MANY)}}),
    "context": ("/recall", {"context": {f"a{number}": 1 for number in range(MANY)}}),
    "an item's": ("/items", {"id": "a"} | {f"a{number}": 1 for number in range(MANY)}),
    "a batch's": ("/recall/batch", {"requests": [{"history": [1] * (MANY // 100)}] * 100}),
    "embedded": ("/embed", {"users": [{f"a{number}": 1 for number in range(MANY)}]}),
    "beside": ("/embed", {"users": []} | {f"a{number}": 1 for number in range(MANY)}),
    "a long name": ("/recall", {"user": {"a" * 500_000: 1}}),
    "a pointer's": ("/bundles/rollback", {f"a{number}": 1 for number in range(MANY)}),
}


@pytest.mark.parametrize("name", FAULTY)
def test_however_much_is_wrong_the_answer_is_short(service: Service, name: str) -> None:
    path, body = FAULTY[name]
    answer = service.post(path, body)
    assert answer.status_code in (200, 422)
    assert "invalid-record" in answer.text
    assert len(answer.content) < 40_000


def test_a_number_without_a_fraction_is_whole(service: Service) -> None:
    assert service.post("/recall", {"k": 3.0}).status_code == 200
    for wrong in (3.5, True, "3", 1e300):
        assert service.post("/recall", {"k": wrong}).status_code == 422
