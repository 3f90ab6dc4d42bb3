"""The audit log: who wrote or steered what, and how it ended; recalls and keys are not in it."""

import asyncio
import json
import logging
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.generation import Generation
from service.http.audit import logger
from service.http.operations import OPERATIONS
from service.keys.key import new_key
from service.keys.ring import LOOK_S
from service.logs import JsonLines
from service.settings import Settings
from tests.service.running import Service, patient

KEY, LINE = new_key("shop", "recall,write")
HEAD = {"authorization": f"Bearer {KEY}", "x-request-id": "mine"}


@pytest.fixture(autouse=True)
def level_as_it_was() -> Iterator[None]:
    before = logger.level
    yield
    logger.setLevel(before)


@pytest.fixture
def service(redis_url: str, generation: Generation, tmp_path: Path) -> Iterator[Service]:
    (tmp_path / "keys").write_text(LINE)
    told = {"audit": True, "keys_file": tmp_path / "keys"}
    with Service(patient(redis_url).model_copy(update=told), generation) as service:
        yield service


def of_audit(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [one for one in caplog.records if one.name == logger.name]


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """Return the facts of what was logged since the last time."""
    told = [json.loads(JsonLines().format(one)) for one in of_audit(caplog)]
    caplog.clear()
    return [{k: line[k] for k in ("who", "operation", "ids", "status")} for line in told]


def fact(operation: str, ids: list[str], status: int, who: str | None = "shop") -> dict[str, Any]:
    return {"who": who, "operation": operation, "ids": ids, "status": status}


RECALL_WITH = fact("recall_with", ["u"], 200, "boss")


def test_each_call_that_writes_or_steers_is_one_line(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    lines(caplog)
    asked: list[tuple[str, str, Any, dict[str, Any]]] = [
        ("POST", "/items", {"id": "n1"}, fact("post_items", ["n1"], 201)),
        ("POST", "/items", {"id": ""}, fact("post_items", [], 422)),
        ("POST", "/items", {"items": [{"id": "a"}, {"id": 7}]}, fact("post_items", ["a"], 200)),
        ("PATCH", "/items/none", {}, fact("patch_item", ["none"], 404)),
        ("DELETE", "/items/a%2Fb", None, fact("delete_item", ["a/b"], 204)),
        ("PUT", "/users/u", {"country": "de"}, fact("put_user", ["u"], 201)),
        ("PUT", "/users/u", {"shoes": 5}, fact("put_user", ["u"], 422)),
        ("GET", "/users/u", None, fact("get_user", ["u"], 200)),
        ("DELETE", "/users/u", None, fact("delete_user", ["u"], 204)),
        ("POST", "/bundles/v9/activate", {}, fact("activate_bundle", ["v9"], 403)),
    ]
    for method, path, body, expected in asked:
        service.ask(method, path, json=body, headers=HEAD)
        assert lines(caplog) == [expected]
    service.ask("DELETE", "/users/u")
    assert lines(caplog) == [fact("delete_user", ["u"], 401, None)]


def test_a_line_has_the_request_id_and_neither_key_nor_features(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.ask("PUT", "/users/u", json={"country": "canary"}, headers=HEAD)
    [record] = of_audit(caplog)
    line = JsonLines().format(record)
    assert "canary" not in line
    assert KEY not in line
    assert {*json.loads(line)} == {
        *("time", "level", "logger", "message", "request_id", "who", "operation", "ids", "status")
    }


def test_what_a_store_may_have_taken_that_does_not_answer_is_named(
    generation: Generation,
    own_redis: "tuple[subprocess.Popen[bytes], str]",
    caplog: pytest.LogCaptureFixture,
) -> None:
    process, url = own_redis
    settings = Settings.model_validate({"redis": url, "snapshots_kept": 0, "audit": True})
    with Service(settings, generation) as service:
        lines(caplog)
        process.send_signal(signal.SIGSTOP)
        try:
            service.post("/items", {"id": "one"})
            assert lines(caplog) == [fact("post_items", ["one"], 503, None)]
            service.post("/items", {"items": [{"id": "a"}, {"id": 7}, {"id": "b"}]})
            assert lines(caplog) == [fact("post_items", ["a", "b"], 200, None)]
        finally:
            process.send_signal(signal.SIGCONT)


def test_who_looks_behind_a_recall_is_one_line_and_so_is_who_may_not(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    key, line = new_key("boss", "admin")
    assert service.settings.keys_file is not None
    service.settings.keys_file.write_text(f"{LINE}\n{line}\n")
    service.do(asyncio.sleep(1.5 * LOOK_S))
    lines(caplog)
    boss = {"authorization": f"Bearer {key}"}
    batch = {"requests": [{"user_id": "a", "debug": True}, {"user_id": "b"}, {"debug": True}]}
    strange = "/recall?debug=true&user_id=" + "x" * 300
    asked: list[tuple[str, str, Any, dict[str, str], dict[str, Any]]] = [
        ("GET", "/recall?user_id=u&debug=true", None, boss, fact("recall", ["u"], 200, "boss")),
        ("GET", "/recall?user_id=u&debug=true", None, HEAD, fact("recall", ["u"], 403)),
        ("GET", strange, None, boss, fact("recall", ["x" * 256], 422, "boss")),
        ("POST", "/recall", {"user_id": "u", "debug": True}, boss, RECALL_WITH),
        ("POST", "/recall/batch", batch, boss, fact("recall_batch", ["a"], 200, "boss")),
    ]
    for method, path, body, head, expected in asked:
        service.ask(method, path, json=body, headers=head)
        assert lines(caplog) == [expected]


def test_what_is_refused_before_it_is_known_who_asks_is_not_in_it(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    for method, path, beside, status in (
        ("PUT", "/users/u", {"x-request-timeout-ms": "soon"}, 422),
        ("PUT", "/bundles", {}, 405),
        ("PUT", "/nowhere", {}, 404),
    ):
        answer = service.ask(method, path, json={}, headers=HEAD | beside)
        assert answer.status_code == status
    assert lines(caplog) == []


def test_recalls_are_not_in_it(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    for one in OPERATIONS:
        if one.needs in (None, "recall"):
            service.ask(one.method, one.path.format(id="u"), headers=HEAD)
    assert lines(caplog) == []


def test_what_its_deadline_cut_off_has_no_status(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    late = HEAD | {"x-request-timeout-ms": "20"}

    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    asked = service.client.build_request("PUT", "/users/u", headers=late, content=body())
    assert service.do(service.client.send(asked)).status_code == 504
    assert [one["status"] for one in lines(caplog)] == [None]


def test_it_is_told_at_every_level_and_not_unless_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
    redis_url: str,
    generation: Generation,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(logging.getLogger(), "level", logging.ERROR)
    for audit in (False, True):
        settings = patient(redis_url).model_copy(update={"audit": audit})
        with Service(settings, generation) as service:
            service.ask("DELETE", "/items/gone")
        assert len(lines(caplog)) == audit
