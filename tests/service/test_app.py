"""The calls of the service, as clients send them, over the real application and a real Redis."""

import asyncio
import signal
import subprocess
import time
from collections.abc import Iterator

import httpx
import orjson
import pytest
import redis
from fastapi import FastAPI
from starlette.routing import Route

from service.errors import MEDIA_TYPE
from service.generation import Generation
from service.http.guard import Guard
from service.http.operations import OPERATIONS
from service.keys.ring import KeyRing
from service.payloads import (
    ItemBatchAnswer,
    ItemPosted,
    ReadyAnswer,
    RecallAnswer,
    StoredItem,
    StoredUser,
    VersionAnswer,
)
from service.routes import add_routes
from service.settings import Settings
from tests.service.running import Service, patient


@pytest.fixture
def service(redis_url: str, generation: Generation) -> Iterator[Service]:
    with Service(patient(redis_url), generation) as running:
        yield running


def problem(answer: httpx.Response, status: int, type: str) -> dict[str, object]:
    """Check that an answer is a problem of this status and type, and return its body."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    body: dict[str, object] = answer.json()
    assert body["type"] == f"/docs#{type}"
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


def named(body: dict[str, object]) -> list[str]:
    errors = body["errors"]
    assert isinstance(errors, list)
    return [error["feature"] for error in errors]


def test_a_posted_item_is_read_recalled_and_removed(service: Service) -> None:
    posted = service.post("/items", {"id": "new", "topics": ["music"]})
    assert posted.status_code == 201
    body = ItemPosted.model_validate_json(posted.content)
    assert (body.state, body.dropped, body.searchable) == ("cold", ["preference"], True)
    assert body.vector is not None
    assert sum(value * value for value in body.vector) == pytest.approx(1, abs=1e-5)

    stored = StoredItem.model_validate_json(service.get("/items/new").content)
    assert stored.record == {"id": "new", "topics": ["music"]}
    assert stored.vector == body.vector

    likes = {"user": {"taste": {"music": 1}}, "after": body.log_id, "k": 10}
    assert "new" in service.post("/recall", likes).json()["items"]
    removed = service.ask("DELETE", "/items/new")
    assert (removed.status_code, removed.content) == (204, b"")
    assert service.ask("DELETE", "/items/new").status_code == 204
    after = removed.headers["x-log-id"]
    assert "new" not in service.post("/recall", likes | {"after": after}).json()["items"]
    assert problem(service.get("/items/new"), 404, "unknown-item")["id"] == "new"


def test_what_was_posted_can_be_posted_again_as_it_is_read(service: Service) -> None:
    service.post("/items", {"id": "a", "topics": ["food"], "clicks": 3})
    again = service.post("/items", service.get("/items/a").json()["record"])
    assert (again.status_code, again.json()["state"]) == (200, "warm")


def test_a_batch_answers_in_order_and_a_bad_item_loses_no_good_one(service: Service) -> None:
    batch = [
        {"id": "a", "topics": ["food"]},
        {"id": "b", "topics": "food"},
        {"topics": ["food"]},
        17,
        {"id": "c", "price": 3},
        {"id": "a", "topics": ["music"]},
    ]
    answer = service.post("/items?vector=false", {"items": batch})
    assert answer.status_code == 200
    body = ItemBatchAnswer.model_validate_json(answer.content)
    assert [result.status for result in body.results] == [201, 422, 422, 422, 422, 200]
    results = answer.json()["results"]
    at_fault = [named(result) for result in results if result["status"] == 422]
    assert at_fault == [["topics"], ["id"], ["item"], ["price"]]
    assert body.log_id == results[5]["log_id"]
    assert "vector" not in results[0]
    assert service.get("/items/a").json()["record"]["topics"] == ["music"]


def test_an_empty_batch_is_an_empty_answer(service: Service) -> None:
    answer = service.post("/items", {"items": []})
    assert answer.json() == {"results": [], "log_id": None}


def test_a_user_is_put_read_replaced_and_erased(service: Service) -> None:
    user = {"country": "de", "taste": {"art": 2.0}}
    first = service.ask("PUT", "/users/u1", json=user)
    assert first.status_code == 201
    body = StoredUser.model_validate_json(first.content)
    assert (body.state, body.record) == ("warm", {"id": "u1", **user})
    assert service.get("/users/u1").json() == first.json()
    assert service.ask("PUT", "/users/u1", json={"country": "fr"}).status_code == 200
    assert service.get("/users/u1").json()["state"] == "cold"
    assert service.ask("DELETE", "/users/u1").status_code == 204
    assert service.ask("DELETE", "/users/u1").status_code == 204
    assert problem(service.get("/users/u1"), 404, "unknown-user")["id"] == "u1"


def test_a_condition_keeps_a_newer_user_and_an_erased_one_away(service: Service) -> None:
    def put(country: str, since: str | None = None) -> httpx.Response:
        head = {} if since is None else {"If-Unmodified-Since": since}
        return service.ask("PUT", "/users/u", json={"country": country}, headers=head)

    past, future = "Wed, 20 Nov 2024 07:06:40 GMT", "Fri, 20 Nov 2222 07:06:40 GMT"
    assert put("de", past).status_code == 201
    newer = problem(put("fr", past), 412, "precondition-failed")
    assert (newer["id"], newer["reason"]) == ("u", "newer")
    assert f"written at {newer['at']}" in str(newer["detail"])
    assert service.get("/users/u").json()["record"]["country"] == "de"
    assert put("fr", future).status_code == 200
    assert put("it").status_code == 200

    assert service.ask("DELETE", "/users/u").status_code == 204
    erased = problem(put("fr", future), 412, "precondition-failed")
    assert erased["reason"] == "erased"
    assert f"erased at {erased['at']}" in str(erased["detail"])
    assert service.get("/users/u").status_code == 404
    assert put("de").status_code == 201


@pytest.mark.parametrize("moment", ["1795461206647", "9" * 400, "253402300800.5"])
def test_a_moment_that_no_calendar_has_is_told_as_the_last_one(
    service: Service, redis_client: redis.Redis, moment: str
) -> None:
    redis_client.set("fs:user:u", f'{{"written_at":{moment},"id":"u"}}')
    since = {"If-Unmodified-Since": "Wed, 20 Nov 2024 07:06:40 GMT"}
    answer = service.ask("PUT", "/users/u", json={"country": "de"}, headers=since)
    told = problem(answer, 412, "precondition-failed")
    assert (told["reason"], told["at"]) == ("newer", "9999-12-31T23:59:59+00:00")


@pytest.mark.parametrize("mark", ["no moment", "nan", "-1e300"])
def test_a_mark_that_tells_no_moment_is_one_of_an_erasure_still(
    service: Service, redis_client: redis.Redis, mark: str
) -> None:
    assert service.ask("DELETE", "/users/u").status_code == 204
    [name] = redis_client.keys("fs:erased:*")
    redis_client.set(name, mark)
    since = {"If-Unmodified-Since": "Wed, 20 Nov 2024 07:06:40 GMT"}
    answer = service.ask("PUT", "/users/u", json={"country": "de"}, headers=since)
    told = problem(answer, 412, "precondition-failed")
    assert (told["reason"], told["at"]) == ("erased", "9999-12-31T23:59:59+00:00")


def test_a_user_is_patched_and_created_where_there_is_none(service: Service) -> None:
    first = service.ask("PATCH", "/users/u1", json={"country": "de", "id": "u1"})
    assert first.status_code == 201
    second = service.ask("PATCH", "/users/u1", json={"taste": {"art": 2}, "country": None})
    assert second.status_code == 200
    body = StoredUser.model_validate_json(second.content)
    assert (body.state, body.record) == ("warm", {"id": "u1", "taste": {"art": 2.0}})
    assert service.get("/users/u1").json() == second.json()


def test_a_patched_item_is_recalled_by_what_it_is_now(service: Service) -> None:
    patched = service.ask("PATCH", "/items/i4", json={"topics": ["travel"], "id": "i4"})
    assert patched.status_code == 200
    body = ItemPosted.model_validate_json(patched.content)
    stored = StoredItem.model_validate_json(service.get("/items/i4").content)
    assert stored.record == {"id": "i4", "topics": ["travel"], "length": 14.0, "clicks": 4.0}
    assert (stored.vector, stored.state) == (body.vector, body.state)
    likes = {"user": {"taste": {"travel": 1}}, "after": body.log_id, "k": 8}
    assert "i4" in service.post("/recall", likes).json()["items"]
    bare = service.ask("PATCH", "/items/i4?vector=false", json={}).json()
    assert "vector" not in bare


def test_a_user_is_not_put_under_another_id_and_context_is_not_stored(service: Service) -> None:
    other = service.ask("PUT", "/users/u1", json={"id": "u2"})
    assert named(problem(other, 422, "invalid-record")) == ["id"]
    context = service.ask("PUT", "/users/u1", json={"tab": "1"})
    assert named(problem(context, 422, "invalid-record")) == ["tab"]


@pytest.mark.parametrize(
    "one", ["a/similar", "../x", "ä ö", "e\u0301", "é", "🎬", "1", "01", "?#%"]
)
def test_any_id_keeps_its_form_in_a_path(service: Service, one: str) -> None:
    path = f"/items/{httpx.QueryParams({'x': one})}".replace("x=", "").replace("+", "%20")
    assert service.post("/items", {"id": one}).json()["id"] == one
    assert service.get(path).json()["id"] == one
    assert service.ask("DELETE", path).status_code == 204
    assert service.get(path).status_code == 404


def test_every_value_at_fault_is_named_with_what_would_be_right(service: Service) -> None:
    answer = service.post("/items", {"id": "", "topics": 5, "length": "long", "colour": "red"})
    body = problem(answer, 422, "invalid-record")
    assert sorted(named(body)) == ["colour", "id", "length", "topics"]
    errors = body["errors"]
    assert isinstance(errors, list)
    by_feature = {error["feature"]: error for error in errors}
    assert by_feature["length"] == {
        "feature": "length",
        "got": "'long'",
        "expected": "a finite number or null",
    }


def test_an_unknown_path_and_a_wrong_method_are_problems(service: Service) -> None:
    problem(service.get("/recal"), 404, "unknown-route")
    problem(service.get("/recall/"), 404, "unknown-route")
    problem(service.get("/items/a/b"), 404, "unknown-route")
    refused = service.ask("POST", "/users/u", json={})
    problem(refused, 405, "method-not-allowed")
    assert refused.headers["allow"] == "DELETE, GET, PATCH, PUT"
    assert service.ask("PUT", "/recall").headers["allow"] == "GET, POST"


def test_a_body_over_the_limit_is_refused_while_it_comes(service: Service) -> None:
    async def endless() -> object:
        for _ in range(100):
            yield b" " * 50_000

    announced = service.ask("POST", "/recall", content=b" " * (1 << 20) + b"{}")
    assert problem(announced, 413, "too-large")["limit_bytes"] == 1 << 20
    assert announced.headers["connection"] == "close"
    chunked = service.ask("POST", "/recall", content=endless())
    assert problem(chunked, 413, "too-large")["limit_bytes"] == 1 << 20
    spacious = service.ask("POST", "/items", content=b" " * (2 << 20) + b'{"id": "a"}')
    assert spacious.status_code == 201


def test_a_sane_request_id_is_taken_over_and_another_replaced(service: Service) -> None:
    answer = service.get("/recall?user_id=u", headers={"x-request-id": "abc-1"})
    assert answer.headers["x-request-id"] == "abc-1"
    assert answer.json()["request_id"] == "abc-1"
    made = service.get("/livez", headers={"x-request-id": "a b"}).headers["x-request-id"]
    assert made != "a b"
    assert len(made) == 26


def test_probes_and_version_say_what_is_served(service: Service) -> None:
    assert service.get("/livez").json() == {"state": "alive"}
    ready = ReadyAnswer.model_validate_json(service.get("/readyz").content)
    assert (ready.state, ready.version, ready.lag) == ("ready", "tiny-1", 0)
    version = VersionAnswer.model_validate_json(service.get("/version").content)
    assert version.version == "tiny-1"
    assert version.features["user"]["context"] == {
        "tab": {"kind": "category", "vocabulary": "learned"}
    }


def test_without_a_bundle_only_probes_answer(redis_url: str) -> None:
    with Service(Settings(redis=redis_url), None) as service:
        problem(service.get("/recall?user_id=u"), 503, "not-ready")
        assert service.get("/livez").status_code == 200
        ready = service.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["waiting_for"] == "bundle"


def test_readiness_goes_off_before_the_process_leaves(service: Service) -> None:
    service.control.is_leaving = True
    ready = service.get("/readyz")
    assert (ready.status_code, ready.json()["state"]) == (503, "draining")
    assert service.get("/recall?user_id=u").status_code == 200


def test_without_a_store_recalls_go_on_and_writes_say_so(
    generation: Generation, tmp_path: object
) -> None:
    with Service(Settings(redis=f"unix://{tmp_path}/none.sock"), generation) as service:
        ready = service.get("/readyz")
        assert (ready.status_code, ready.json()["state"]) == (200, "degraded")
        assert ready.json()["waiting_for"] == "store"
        inline = {"user_id": "u", "user": {"taste": {"art": 1}}}
        answer = RecallAnswer.model_validate_json(service.post("/recall", inline).content)
        assert (answer.state, answer.degraded) == ("warm", ["store"])
        known_by_nothing = service.get("/recall?user_id=u").json()
        assert (known_by_nothing["state"], known_by_nothing["degraded"]) == ("fallback", ["store"])
        for method, path, body in (
            ("POST", "/items", {"id": "a"}),
            ("DELETE", "/items/a", None),
            ("PUT", "/users/u", {}),
            ("GET", "/users/u", None),
            ("DELETE", "/users/u", None),
        ):
            refused = service.ask(method, path, json=body)
            problem(refused, 503, "store-unavailable")
            assert refused.headers["retry-after"] == "1"


def test_while_redis_is_silent_it_is_not_asked_and_readiness_says_so(
    generation: Generation, own_redis: "tuple[subprocess.Popen[bytes], str]"
) -> None:
    process, url = own_redis
    with Service(Settings(redis=url, store_timeout_ms=2000), generation) as service:
        assert service.get("/readyz").json()["state"] == "ready"
        process.send_signal(signal.SIGSTOP)
        begun_s = time.monotonic()
        told = [service.get("/recall?user_id=u").json()["degraded"] for _ in range(30)]
        assert time.monotonic() - begun_s < 30  # and not 30 times 2 s
        assert told == [["store"]] * 30
        ready = service.get("/readyz")
        assert (ready.status_code, ready.json()["state"]) == (200, "degraded")
        assert ready.json()["waiting_for"] == "store"
        process.send_signal(signal.SIGCONT)
        give_up_s = time.monotonic() + 30
        while service.get("/readyz").json()["state"] != "ready":
            assert time.monotonic() < give_up_s
            service.do(asyncio.sleep(0.02))


def test_what_redis_does_not_keep_is_said_with_the_remedy_and_noticed_when_it_changes(
    generation: Generation, own_redis: "tuple[subprocess.Popen[bytes], str]"
) -> None:
    url = own_redis[1]
    with Service(patient(url), generation) as service, redis.Redis.from_url(url) as client:
        ready = ReadyAnswer.model_validate_json(service.get("/readyz").content)
        assert ready.durability == "none"
        assert "set `appendonly yes`" in str(ready.remedy)
        posted = ItemPosted.model_validate_json(service.post("/items", {"id": "a"}).content)
        assert (posted.durable, posted.not_durable) == (False, ready.remedy)
        batch = service.post("/items", {"items": [{"id": "b"}]}).json()
        assert not batch["results"][0]["durable"]
        removed = service.ask("DELETE", "/items/a")
        assert removed.headers["x-durable"] == "false"

        client.config_set("appendonly", "yes")
        give_up_s = time.monotonic() + 30
        while service.get("/readyz").json()["durability"] != "everysec":
            assert time.monotonic() < give_up_s
            service.do(asyncio.sleep(0.1))
        assert service.get("/readyz").json()["remedy"] is None
        posted = service.post("/items", {"id": "a"}).json()
        assert posted["durable"]
        assert "not_durable" not in posted
        assert service.ask("DELETE", "/items/a").headers["x-durable"] == "true"


def test_an_unexpected_error_tells_no_more_than_its_request(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("a secret of the machine")

    assert service.generation is not None
    monkeypatch.setattr(service.generation, "search", fails)
    monkeypatch.setattr(service.generation, "popular", fails)
    answer = service.get("/recall?user_id=u")
    problem(answer, 500, "internal")
    assert "secret" not in answer.text
    assert "a secret of the machine" in caplog.text


def test_every_route_is_described_and_every_description_routed() -> None:
    app = FastAPI(docs_url=None, redoc_url=None)
    add_routes(app, Guard(Settings(), KeyRing(Settings())))
    routed = {
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route)
        for method in route.methods or ()
    }
    described = {(operation.method, operation.path) for operation in OPERATIONS}
    assert {pair for pair in routed if pair[0] != "HEAD"} == described


def test_the_document_and_the_page_are_served(service: Service) -> None:
    assert orjson.loads(service.get("/openapi.json").content)["openapi"] == "3.1.0"
    page = service.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert 'id="invalid-record"' in page.text
