"""What is refused by the protocol, beside what the application refuses."""

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator

import pytest

from tests.end_to_end.processes import Served
from tests.service.processes.lines import HEAD_S, WHOLE, answered, connect, seconds_until_closed
from tests.tiny import tiny_bundle

PLAIN = b"GET /version HTTP/1.1\r\nhost: x\r\nx-request-id: one\r\n\r\n"
NOT_PLAIN = PLAIN.replace(b"/version", b"/versio%6E")
"""The application refuses it, since the protocol does not read paths so closely."""


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One request may be in work, and one is, for all the tests."""
    folder = tmp_path_factory.mktemp("full")
    settings = {"limits__body_timeout_s": HEAD_S, "limits__in_flight": 1, "linger_s": 3}
    served = Served(
        folder / "data", tiny_bundle(folder / "bundles"), after_wait_ms=600_000, **settings
    )
    try:
        with connect(served) as held:
            held.sendall(b"GET /recall?user_id=u&after=9999999999999-0 HTTP/1.1\r\nhost: x\r\n\r\n")
            while served.ask("GET", "/version")[0] != 503:
                pass
            yield served
    finally:
        served.kill()


BATCH = b"POST /items HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\n"


@pytest.mark.parametrize("request_of_one_piece", [WHOLE, BATCH + b"[null]"])
def test_a_connection_is_kept_after_a_refusal_as_after_an_answer(
    full: Served, request_of_one_piece: bytes
) -> None:
    with connect(full) as line:
        for pause_s in (0, 2 * HEAD_S):
            time.sleep(pause_s)
            line.sendall(request_of_one_piece)
            assert answered(line) == 503


def test_what_is_refused_has_no_longer_for_its_body_than_for_a_head(full: Served) -> None:
    with connect(full) as line:
        line.sendall(BATCH.replace(b": 6", b": 1000") + b"[")
        assert answered(line) == 503
        assert HEAD_S / 2 < seconds_until_closed(line, b" ") < 5 * HEAD_S


@pytest.mark.parametrize("refused", [2, 400])
def test_requests_sent_at_once_are_answered_each_in_its_turn(full: Served, refused: int) -> None:
    with connect(full) as line:
        line.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n" + WHOLE * refused)
        told = b""
        while told.count(b"HTTP/1.1 ") <= refused or not told.endswith(b"}"):
            told += line.recv(65_536)
        statuses = [int(part[:3]) for part in told.split(b"HTTP/1.1 ")[1:]]
        assert statuses == [200] + [503] * refused
        line.sendall(WHOLE)
        assert answered(line) == 503


def test_a_connection_is_not_kept_for_whoever_sends_no_request_after_a_refusal(
    full: Served,
) -> None:
    with connect(full) as line:
        line.sendall(WHOLE)
        assert answered(line) == 503
        assert HEAD_S / 2 < seconds_until_closed(line, b"\r\n") < 5 * HEAD_S


def whole(line: socket.socket) -> tuple[dict[str, str], object]:
    answer = http.client.HTTPResponse(line)
    answer.begin()
    assert answer.status == 503
    headers = {name.lower(): value for name, value in answer.getheaders()}
    assert headers.pop("date")
    return headers, json.loads(answer.read())


def test_protocol_and_application_refuse_in_the_same_words(full: Served) -> None:
    with connect(full) as line:
        line.sendall(PLAIN)
        by_protocol = whole(line)
        line.sendall(NOT_PLAIN)
        assert whole(line) == by_protocol
        assert by_protocol[0]["x-request-id"] == "one"


@pytest.mark.parametrize(
    "request_bytes",
    [
        WHOLE.replace(b"1.1", b"1.0"),
        WHOLE.replace(b"1.1", b"1.0").replace(b"host", b"connection: keep-alive\r\nhost"),
        WHOLE.replace(b"host", b"connection: close\r\nhost"),
        BATCH.replace(b"host", b"expect: 100-continue\r\nhost"),
    ],
)
def test_what_ends_its_connection_is_refused_and_ends_it(
    full: Served, request_bytes: bytes
) -> None:
    with connect(full) as line:
        line.sendall(request_bytes)
        assert answered(line) == 503
        line.settimeout(HEAD_S / 2)
        assert line.recv(1) == b""


def test_the_head_alone_is_refused_without_a_body(full: Served) -> None:
    with connect(full) as line:
        line.sendall(WHOLE.replace(b"GET", b"HEAD"))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += line.recv(1)
        assert head.startswith(b"HTTP/1.1 503 ")
        line.sendall(PLAIN)
        assert whole(line)


@pytest.mark.parametrize("path", [b"/livez", b"/livez?x=1", b"/%6Civez", b"/readyz", b"/metrics"])
def test_probes_are_answered_beside_refusals(full: Served, path: bytes) -> None:
    with connect(full) as line:
        line.sendall(WHOLE)
        assert answered(line) == 503
        line.sendall(WHOLE.replace(b"/version", path))
        assert answered(line) in (200, 404)


def test_who_reads_nothing_is_not_refused_without_end(full: Served) -> None:
    sent, before = 200_000, refusals(full)
    with connect(full) as line:
        line.settimeout(HEAD_S)
        with contextlib.suppress(TimeoutError):  # the system may take it all, or not
            line.sendall(WHOLE * sent)
        seen, now = -1, refusals(full)
        while now != seen:
            time.sleep(HEAD_S)
            seen, now = now, refusals(full)
        assert 0 < now - before < sent / 4


def refusals(served: Served) -> int:
    name = 'firstsight_requests_total{route="none",status="503"} '
    [line] = [one for one in served.read("/metrics").splitlines() if one.startswith(name)]
    return int(float(line.removeprefix(name)))
