"""The contract with clients, as tables: statuses, limits and states, each reached for real."""

import asyncio
import functools
import re
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from service import app, errors, routes
from service.errors import MEDIA_TYPE, Problem
from service.generation import Generation
from service.http.admission import PROBES
from service.http.layers import BATCHES
from service.http.operations import OPERATIONS, Operation
from service.keys.key import new_key
from service.rollout.pointer import Pointer
from service.rollout.pointer_store import change_pointer, read_pointer
from service.settings import Limits
from tests.service.conftest import start_redis
from tests.service.running import Service, patient

STATUSES = {
    "GET /recall": "200 401 403 422 503 504",
    "POST /recall": "200 400 401 403 408 413 415 422 503 504",
    "POST /recall/batch": "200 400 401 403 408 413 415 422 503 504",
    "POST /items": "200 201 400 401 403 408 413 415 422 503 504",
    "GET /items/{id}": "200 401 403 404 422 503",
    "PATCH /items/{id}": "200 400 401 403 404 408 413 415 422 503 504",
    "DELETE /items/{id}": "204 401 403 422 503 504",
    "GET /items/{id}/similar": "200 401 403 404 422 503 504",
    "POST /embed": "200 400 401 403 408 413 415 422 503 504",
    "GET /users/{id}": "200 401 403 404 422 503 504",
    "PUT /users/{id}": "200 201 400 401 403 408 412 413 415 422 503 504",
    "PATCH /users/{id}": "200 201 400 401 403 408 413 415 422 503 504",
    "DELETE /users/{id}": "204 401 403 422 503 504",
    "GET /bundles": "200 401 403 422 503 504",
    "POST /bundles/{version}/activate": "200 400 401 403 404 408 409 413 415 422 503 504",
    "POST /bundles/rollback": "200 400 401 403 404 408 409 413 415 422 503 504",
    "GET /version": "200 401 403 422 503",
    "GET /livez": "200",
    "GET /readyz": "200 503",
    "GET /metrics": "200",
    "GET /openapi.json": "200 422 503",
    "GET /docs": "200 422 503",
}
"""What each call may answer, but for 500."""

BODIES: dict[str, Any] = {
    "POST /recall/batch": {"requests": []},
    "POST /items": {"id": "i1"},
    "POST /embed": {"users": []},
}
"""What a call needs to be a good one, where `{}` would not do."""

GOOD = [
    ("GET /recall", "", 200),
    ("POST /recall", "", 200),
    ("POST /recall/batch", "", 200),
    ("POST /items", "new", 201),
    ("POST /items", "i1", 200),
    ("GET /items/{id}", "i1", 200),
    ("PATCH /items/{id}", "i1", 200),
    ("DELETE /items/{id}", "gone", 204),
    ("GET /items/{id}/similar", "i1", 200),
    ("POST /embed", "", 200),
    ("PUT /users/{id}", "put", 201),
    ("PUT /users/{id}", "u", 200),
    ("GET /users/{id}", "u", 200),
    ("PATCH /users/{id}", "patched", 201),
    ("PATCH /users/{id}", "u", 200),
    ("DELETE /users/{id}", "gone", 204),
    ("GET /bundles", "", 200),
    ("POST /bundles/{version}/activate", "tiny-1", 200),
    ("POST /bundles/rollback", "", 200),
    ("GET /version", "", 200),
    ("GET /livez", "", 200),
    ("GET /readyz", "", 200),
    ("GET /metrics", "", 200),
    ("GET /openapi.json", "", 200),
    ("GET /docs", "", 200),
]

CALLS = {f"{one.method} {one.path}": one for one in OPERATIONS}
KEY, KEY_LINE = new_key("reader", "recall")
OTHER, OTHER_LINE = new_key("writer", "write")
LATE = {"x-request-timeout-ms": "20"}
NEVER = "99999999999999-0"
QUICK = {"catch_up_s": 1.0, "after_wait_ms": 100}


class Situations:
    """Services in the state that a problem needs, each started when it is first asked for."""

    def __init__(self, stack: ExitStack, bundle: Path, folder: Path) -> None:
        self._stack = stack
        self._bundle = bundle
        self._folder = folder
        self._made: dict[str, Service] = {}
        shutil.copytree(bundle, folder / "bundles" / bundle.name)
        (folder / "bundles" / "bad-1").mkdir()
        (folder / "bundles" / "bad-1" / "manifest.json").write_text("{")

    def __getitem__(self, name: str) -> Service:
        """Return the service in a situation.

        running, hasty, storeless, bundleless, hung, busy, or guarded by keys.
        """
        if name not in self._made:
            self._made[name] = self._start(name)
        return self._made[name]

    def _start(self, name: str) -> Service:
        url = f"unix://{self._folder}/none.sock"
        if name in ("running", "hung"):
            (self._folder / name).mkdir()
            redis, url = start_redis(self._folder / name)
            self._stack.callback(redis.wait)
            self._stack.callback(redis.kill)
        limits = {"hasty": {"body_timeout_s": 0.05}, "busy": {"in_flight": 1}}.get(name, {})
        keys = self._folder / "keys"
        keys.write_text(f"{KEY_LINE}\n{OTHER_LINE}\n")
        settings = patient(url).model_copy(
            update={
                "limits": Limits.model_validate(limits),
                "catch_up_s": 1.0,
                "after_wait_ms": 100,
                "bundles": self._folder / "bundles",
                "keys_file": keys if name == "guarded" else None,
            }
        )
        generation = None if name == "bundleless" else Generation.load(self._bundle)
        service = Service(settings, generation)
        self._stack.enter_context(service)
        if name == "hung":
            redis.send_signal(signal.SIGSTOP)
        return service


@pytest.fixture(scope="module")
def situations(
    bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Situations]:
    with ExitStack() as stack:
        made = Situations(stack, bundle_folder, tmp_path_factory.mktemp("situations"))
        made["running"].ask("PUT", "/users/u", json={"country": "de"})
        yield made


Reached = Callable[[str, int], None]


@pytest.fixture
def reached(record_property: Callable[[str, object], None]) -> Reached:
    """Note that a call had a status, for the list that `python -m tests.fuzz` prints."""
    return lambda call, status: record_property("reached", f"{call} {status}")


async def slow() -> AsyncIterator[bytes]:
    yield b"{"
    await asyncio.sleep(60)


def ask(service: Service, call: str, one: str = "i1", **options: Any) -> httpx.Response:
    """Send a call that is good but for its options."""
    method, path = call.split()
    if path == "/recall" and method == "GET":
        path += "?user_id=u"
    if method in ("POST", "PUT", "PATCH") and "content" not in options:
        body = BODIES.get(call, {})
        options.setdefault("json", body | ({"id": one} if one and "id" in body else {}))
    options["headers"] = {"host": "127.0.0.1"} | options.get("headers", {})
    named = quote(one, safe="")
    return service.ask(method, path.format(id=named, version=named), **options)


def ask_when_busy(service: Service, call: str) -> httpx.Response:
    """Send a call while another one is in work, which is all that this service takes."""

    async def scene() -> httpx.Response:
        first = asyncio.create_task(service.client.get(f"/recall?user_id=u&after={NEVER}"))
        await asyncio.sleep(0.02)
        method, path = call.split()
        answer = await service.client.request(method, path, headers={"host": "127.0.0.1"})
        assert (await first).status_code == 200
        return answer

    answer: httpx.Response = service.do(scene())
    return answer


def with_a_key_of_another_scope(service: Service, call: str) -> httpx.Response:
    key = OTHER if CALLS[call].needs == "recall" else KEY
    return ask(service, call, headers={"authorization": f"Bearer {key}"})


def too_late(situations: Situations, call: str) -> httpx.Response:
    method, path = call.split()
    if method in ("POST", "PUT", "PATCH"):
        return ask(situations["running"], call, content=slow(), headers=LATE)
    if path in ("/recall", "/items/{id}/similar"):
        waits = path.format(id="i1") + f"?after={NEVER}" + "&user_id=u" * (path == "/recall")
        return situations["running"].get(waits, headers=LATE)
    return ask(situations["hung"], call, headers=LATE)  # `/bundles` reads the pointer there


def unknown_bundle(situations: Situations, call: str) -> httpx.Response:
    service = situations["running"]
    if call == "POST /bundles/rollback":
        now = read_pointer(service.settings)
        of = 1 if now is None else now.generation + 1
        change_pointer(service.settings, now, Pointer(of, "tiny-1", previous="nobody"))
    return ask(service, call, "nobody")


def too_large(situations: Situations, call: str) -> httpx.Response:
    most = 8 << 20 if call.split()[1] in ("/items", "/recall/batch", "/embed") else 1 << 20
    return ask(situations["running"], call, content=b" " * (most + 1))


Provoke = Callable[[Situations, str], httpx.Response]
PROVOKED: dict[type[Problem], Provoke] = {
    errors.Malformed: lambda s, call: ask(s["running"], call, content=b'{"id": '),
    errors.Unauthenticated: lambda s, call: ask(s["guarded"], call),
    errors.Forbidden: lambda s, call: with_a_key_of_another_scope(s["guarded"], call),
    errors.UnknownBundle: unknown_bundle,
    errors.BundleRefused: lambda s, call: ask(s["running"], call, "bad-1"),
    errors.Conflict: lambda s, call: ask(s["running"], call, "tiny-1", json={"expect": 77}),
    errors.UnknownItem: lambda s, call: ask(s["running"], call, "nobody"),
    errors.UnknownUser: lambda s, call: ask(s["running"], call, "nobody"),
    errors.BodyTimeout: lambda s, call: ask(s["hasty"], call, content=slow()),
    errors.PreconditionFailed: lambda s, call: ask(
        s["running"], call, "u", headers={"if-unmodified-since": "Thu, 01 Jan 2015 00:00:00 GMT"}
    ),
    errors.TooLarge: too_large,
    errors.UnsupportedMedia: lambda s, call: ask(
        s["running"], call, content=b"id=a", headers={"content-type": "text/csv"}
    ),
    errors.InvalidRecord: lambda s, call: ask(
        s["running"], call, headers={"x-request-timeout-ms": "soon"}
    ),
    errors.Overloaded: lambda s, call: ask_when_busy(s["busy"], call),
    errors.NotReady: lambda s, call: ask(s["bundleless"], call),
    errors.StoreUnavailable: lambda s, call: ask(s["storeless"], call, "tiny-1"),
    errors.DeadlineExceeded: too_late,
}


def described(operation: Operation) -> set[int]:
    return {*operation.answers, *(problem.status for problem in operation.refusals)}


def broken(endpoint: Any) -> Any:
    """Return an endpoint of the same name with a fault of ours in it."""

    @functools.wraps(endpoint)
    async def fails(request: object) -> None:
        raise RuntimeError("a fault that was put here")

    return fails


def no_document() -> None:
    raise RuntimeError("a fault that was put here")


@pytest.fixture(scope="module")
def faulty(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service each of whose calls meets a fault of ours."""
    url = f"unix://{tmp_path_factory.mktemp('faulty')}/none.sock"
    service = Service(patient(url), Generation.load(bundle_folder))
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(routes, "ENDPOINTS", tuple(map(broken, routes.ENDPOINTS)))
            patch.setattr(app, "document", no_document)
            stack.enter_context(service)
        yield service


@pytest.mark.parametrize("call", CALLS)
def test_a_fault_of_ours_is_told_as_one_whatever_was_called(
    faulty: Service, call: str, reached: Reached
) -> None:
    answer = ask(faulty, call)
    assert (answer.status_code, answer.headers["content-type"]) == (500, MEDIA_TYPE)
    body = answer.json()
    assert body["type"] == f"/docs#{errors.Internal.type}"
    assert body["request_id"] == answer.headers["x-request-id"]
    assert "put here" not in answer.text
    reached(call, 500)


def test_the_table_of_statuses_is_that_of_the_description_and_of_the_docs() -> None:
    table = {call: set(map(int, told.split())) for call, told in STATUSES.items()}
    assert {call: described(one) for call, one in CALLS.items()} == table
    page = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
    for section in page.split("\n## ")[1:]:
        methods, _, path = section.partition("\n")[0].rpartition(" ")
        calls = [f"{method} {path}" for method in re.findall(r"[A-Z]+", methods)]
        if calls and set(calls) <= table.keys():
            [line] = [line for line in section.splitlines() if re.match(r"20\d( \||$)", line)]
            told = {int(status) for status in re.findall(r"\b[2-5]\d\d\b", line)}
            assert told == set().union(*(table[call] for call in calls)), section[:40]


def test_every_good_status_has_a_row() -> None:
    rows = {(call, status) for call, _, status in GOOD}
    not_now = {("GET /readyz", 503)}  # while there is no bundle, in the rows of problems
    assert rows | not_now == {(call, s) for call, one in CALLS.items() for s in one.answers}


@pytest.mark.parametrize(("call", "one", "status"), GOOD)
def test_a_good_call_has_its_status(
    situations: Situations, call: str, one: str, status: int, reached: Reached
) -> None:
    service = situations["running"]
    if call == "POST /bundles/rollback":
        now = read_pointer(service.settings)
        of = 1 if now is None else now.generation + 1
        change_pointer(service.settings, now, Pointer(of, "tiny-1", previous="tiny-1"))
    answer = ask(service, call, one)
    assert answer.status_code == status, answer.text
    assert "problem" not in answer.headers.get("content-type", "")
    reached(call, status)
    if status == 201:  # so that the row holds however often it is run
        situations["running"].ask("DELETE", f"{answer.request.url.path}/new".replace("new/new", ""))
        situations["running"].ask("DELETE", "/items/new")
        situations["running"].ask("DELETE", f"/users/{one}")


@pytest.mark.parametrize(
    ("call", "problem"),
    [(call, problem) for call, one in CALLS.items() for problem in one.refusals],
    ids=lambda value: value if isinstance(value, str) else value.type,
)
def test_every_problem_that_is_described_can_be_reached(
    situations: Situations, call: str, problem: type[Problem], reached: Reached
) -> None:
    answer = PROVOKED[problem](situations, call)
    assert answer.status_code == problem.status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    body = answer.json()
    assert (body["type"], body["status"]) == (f"/docs#{problem.type}", problem.status)
    assert body["request_id"] == answer.headers["x-request-id"]
    if problem.status == 503:
        assert answer.headers["retry-after"] == "1"
    assert all(name in answer.headers for name in problem.told)
    reached(call, problem.status)


@pytest.mark.parametrize("path", sorted(PROBES))
def test_probes_answer_in_every_situation(
    situations: Situations, path: str, reached: Reached
) -> None:
    for name in ("running", "storeless", "bundleless", "hung"):
        bad = name == "bundleless" and path == "/readyz"
        reached(f"GET {path}", 503 if bad else 200)
        assert situations[name].get(path).status_code == (503 if bad else 200)
    assert ask_when_busy(situations["busy"], f"GET {path}").status_code == 200


def spaces(most: int, body: bytes) -> Callable[[int], dict[str, Any]]:
    return lambda more: {"content": body.rjust(most + more)}


def many(name: str, most: int, one: object) -> Callable[[int], dict[str, Any]]:
    return lambda more: {"json": {name: [one] * (most + more)}}


LIMITS: list[tuple[str, Callable[[int], str], Callable[[int], dict[str, Any]], int, int]] = [
    # method, path and options by how much more than the limit; status at the limit, and over it
    ("POST", lambda _: "/recall", spaces(1 << 20, b"{}"), 200, 413),
    ("PUT", lambda _: "/users/u", spaces(1 << 20, b"{}"), 200, 413),
    ("PATCH", lambda _: "/items/i1", spaces(1 << 20, b"{}"), 200, 413),
    ("POST", lambda _: "/items", spaces(8 << 20, b'{"items":[]}'), 200, 413),
    ("POST", lambda _: "/recall/batch", spaces(8 << 20, b'{"requests":[]}'), 200, 413),
    ("POST", lambda _: "/embed", spaces(8 << 20, b'{"users":[]}'), 200, 413),
    ("POST", lambda _: "/items", many("items", 1000, {}), 200, 422),
    ("POST", lambda _: "/recall/batch", many("requests", 256, 17), 200, 422),
    ("POST", lambda _: "/embed", many("items", 1000, 17), 200, 422),
    ("POST", lambda _: "/embed", many("users", 1000, 17), 200, 422),
    ("POST", lambda _: "/recall", many("exclude", 10_000, "i1"), 200, 422),
    ("POST", lambda _: "/recall", many("history", 1000, "i1"), 200, 422),
    ("GET", lambda more: f"/items/{'x' * (256 + more)}", lambda _: {}, 404, 422),
    ("GET", lambda more: f"/users/{'%C3%A9' * (128 + more)}", lambda _: {}, 404, 422),
    ("POST", lambda _: "/items", lambda more: {"json": {"id": "é" * (128 + more)}}, 201, 422),
    ("GET", lambda more: f"/recall?user_id=u&k={1000 + more}", lambda _: {}, 200, 422),
    ("GET", lambda more: f"/recall?user_id=u&k={1 - more}", lambda _: {}, 200, 422),
    ("POST", lambda _: "/recall", lambda more: {"json": {"k": 1000 + more}}, 200, 422),
    ("GET", lambda more: f"/items/i1/similar?k={1000 + more}", lambda _: {}, 200, 422),
    ("GET", lambda more: f"/items/i1/similar?k={1 - more}", lambda _: {}, 200, 422),
    ("GET", lambda more: "/recall?" + "user_id=u&exclude=".ljust(8192 + more, "a"), lambda _: {},
     200, 422),
    ("GET", lambda more: "/items/i1/similar?" + "exclude=".ljust(8192 + more, "a"), lambda _: {},
     200, 422),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "options", "at", "over"), LIMITS)
def test_what_is_at_a_limit_is_answered_and_what_is_over_it_refused(
    situations: Situations,
    method: str,
    path: Callable[[int], str],
    options: Callable[[int], dict[str, Any]],
    at: int,
    over: int,
) -> None:
    service = situations["running"]
    answered = service.ask(method, path(0), **options(0))
    assert answered.status_code == at, answered.text
    refused = service.ask(method, path(1), **options(1))
    assert refused.status_code == over, refused.text
    if at == 201:
        service.ask("DELETE", f"/items/{quote(answered.json()['id'])}")


def test_batches_alone_may_be_large() -> None:
    assert {"/items", "/recall/batch", "/embed"} == BATCHES


WARM, COLD = {"taste": {"art": 1}}, {"country": "at"}
STATES: list[tuple[dict[str, Any], str, list[str]]] = [
    ({"user": WARM}, "warm", []),
    ({"user": WARM | COLD}, "warm", []),
    ({"history": ["i1"]}, "warm", []),
    ({"history": ["i1", "nobody"], "user": COLD}, "warm", []),
    ({"user_id": "warm"}, "warm", []),
    ({"user_id": "u", "user": WARM}, "warm", []),
    ({"user_id": "u", "history": ["i1"]}, "warm", []),
    ({"user_id": "warm", "cold": True}, "cold", ["preference"]),
    ({"user_id": "warm", "history": []}, "cold", ["preference"]),
    ({"user_id": "warm", "history": ["nobody"]}, "cold", ["preference"]),
    ({"user_id": "warm", "user": {"preference": None}}, "cold", ["preference"]),
    ({"user_id": "u"}, "cold", ["preference"]),
    ({"user": COLD}, "cold", ["preference"]),
    ({"user": WARM | COLD, "cold": True}, "cold", ["preference"]),
    ({"user": COLD, "history": ["i1"], "cold": True}, "cold", ["preference"]),
    ({"user_id": "u", "user": {"country": None}}, "fallback", ["content", "preference"]),
    ({"user": WARM, "cold": True}, "fallback", ["content", "preference"]),
    ({"user_id": "stranger"}, "fallback", ["content", "preference"]),
    ({"history": ["nobody"]}, "fallback", ["content", "preference"]),
    ({}, "fallback", ["content", "preference"]),
]


@pytest.mark.parametrize(("body", "state", "dropped"), STATES)
@pytest.mark.parametrize("context", [{"tab": "1"}, {"tab": "unheard of"}, {}])
def test_a_recall_has_the_state_that_the_order_of_the_rules_gives(
    situations: Situations,
    body: dict[str, Any],
    state: str,
    dropped: list[str],
    context: dict[str, str],
) -> None:
    service = situations["running"]
    service.ask("PUT", "/users/warm", json={"country": "de", **WARM})
    service.ask("PUT", "/users/u", json={"country": "de"})
    answer = service.post("/recall", body | {"context": context, "exclude": ["nobody"]}).json()
    missing = [] if context else ["context.tab"]
    assert (answer["state"], answer["dropped"]) == (state, dropped + missing)
    assert answer["score"] == ("popularity" if state == "fallback" else "cosine")
    assert answer["degraded"] == []
    if state == "fallback":
        assert all(0 <= score <= 1 for score in answer["scores"])
