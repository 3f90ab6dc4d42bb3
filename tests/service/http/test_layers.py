"""Refusals over real HTTP: cheap, whole, and on connections that stay."""

import asyncio
import contextvars
import http.client
import json
import socket
from collections.abc import Iterator

import pytest
from starlette.types import Message, Receive, Scope, Send

from service.errors import MEDIA_TYPE
from service.http.admission import Admission
from service.http.layers import Admitted
from service.http.request_id import set_request_id
from service.settings import Limits
from tests.end_to_end.processes import Served
from tests.tiny import tiny_bundle

IN_FLIGHT = 2
UNENDED = b"POST /recall HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{"
"""A request that is in work until its client leaves."""
LARGE = json.dumps({"requests": [{"user_id": "u" * 100}] * 5000}).encode()


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """As much is in work as may be, all the time."""
    folder = tmp_path_factory.mktemp("busy")
    settings = {"limits__in_flight": IN_FLIGHT, "limits__body_timeout_s": 300}
    served = Served(folder / "data", tiny_bundle(folder / "bundles"), **settings)
    held = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(IN_FLIGHT)]
    try:
        for one in held:
            one.sendall(UNENDED)
        while served.ask("GET", "/version")[0] != 503:
            pass
        yield served
    finally:
        for one in held:
            one.close()
        served.kill()


def refused(served: Served, **headers: str) -> tuple[http.client.HTTPMessage, dict[str, object]]:
    line = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    line.request("GET", "/recall?user_id=u", headers=headers)
    answer = line.getresponse()
    assert answer.status == 503
    body: dict[str, object] = json.loads(answer.read())
    line.close()
    return answer.headers, body


def test_a_refusal_is_a_problem_with_the_requests_id_and_when_to_come_again(busy: Served) -> None:
    headers, body = refused(busy, **{"X-Request-Id": "mine-1"})
    assert headers["content-type"] == MEDIA_TYPE
    assert headers["retry-after"] == "1"
    assert headers["x-request-id"] == "mine-1"
    assert body == {
        "type": "/docs#overloaded",
        "title": "Too much is asked at once",
        "status": 503,
        "detail": f"over {IN_FLIGHT} requests are in work here",
        "request_id": "mine-1",
    }
    others = [refused(busy)[1]["request_id"] for _ in range(2)]
    assert others[0] != others[1]


def test_the_body_of_what_is_refused_is_dropped_and_its_connection_stays(busy: Served) -> None:
    line = socket.create_connection(("127.0.0.1", busy.port), timeout=10)
    head = b"POST /recall/batch HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(LARGE)
    statuses = []
    for _ in range(3):
        line.sendall(head)  # it is refused before its body has come
        statuses.append(status(line))
        line.sendall(LARGE)
        line.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        statuses.append(status(line))
    line.close()
    assert statuses == [503, 200] * 3


def test_who_waits_to_be_told_to_send_its_body_gets_no_connection_out_of_step(
    busy: Served,
) -> None:
    line = socket.create_connection(("127.0.0.1", busy.port), timeout=10)
    line.sendall(
        b"POST /recall HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
    )
    assert status(line) == 503
    assert line.recv(1) == b""  # ended, since no body may come any more
    line.close()


def test_a_refusal_has_its_own_id_wherever_the_application_was_made() -> None:
    left = contextvars.copy_context()
    left.run(set_request_id, b"left-there")
    none_at_all = Limits().model_copy(update={"in_flight": 0})
    admitted = Admitted(unreached, left.run(Admission, none_at_all))
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/recall", "headers": [(b"x-request-id", b"mine-1")]}
    asyncio.run(admitted(scope, receive_nothing, send))
    assert json.loads(sent[1]["body"])["request_id"] == "mine-1"


async def unreached(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("nothing is let in")


async def receive_nothing() -> Message:
    raise AssertionError("nobody reads it")


def test_refusals_are_counted_and_not_timed(busy: Served) -> None:
    before = metrics(busy)
    for _ in range(5):
        refused(busy)
    after = metrics(busy)
    assert after["firstsight_requests_total"] - before["firstsight_requests_total"] == 5
    timed = "firstsight_request_seconds_count"
    assert after[timed] - before[timed] <= 1  # `/metrics` itself


def status(line: socket.socket) -> int:
    answer = http.client.HTTPResponse(line)
    answer.begin()
    answer.read()
    return answer.status


def metrics(served: Served) -> dict[str, float]:
    """Return the refusals and the number of timed requests."""
    line = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    line.request("GET", "/metrics")
    told = line.getresponse().read().decode().splitlines()
    line.close()
    found = {"firstsight_request_seconds_count": 0.0}
    for one in told:
        name, _, value = one.rpartition(" ")
        if name == 'firstsight_requests_total{route="none",status="503"}':
            found["firstsight_requests_total"] = float(value)
        elif name.startswith("firstsight_request_seconds_count{"):
            found["firstsight_request_seconds_count"] += float(value)
    return found
