"""Clients that send too much, too deep, too slowly or nonsense are refused; no other notices."""

import contextlib
import http.client
import json
import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.end_to_end.processes import Served
from tests.tiny import tiny_bundle

MIB = 1 << 20
HUGE = 200 * MIB
BODY_TIMEOUT_S = 1.0
ROOM = 96 * MIB
"""What a worker may take for bodies of 200 MiB, the largest allowed one being 8 MiB."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("clients")
    bundle = tiny_bundle(folder / "bundles")
    served = Served(folder / "data", bundle, limits__body_timeout_s=BODY_TIMEOUT_S)
    yield served
    served.kill()


@pytest.fixture(autouse=True)
def nobody_notices(served: Served) -> Iterator[None]:
    """Whatever is sent: the same process serves on, as large as before, and nothing was a 5xx."""
    [before] = served.workers()
    assert recall(served) == 200  # so that what a first recall needs is there
    resident = before.memory_info().rss
    yield
    assert recall(served) == 200
    [after] = served.workers()
    assert after == before
    assert after.memory_info().rss < resident + ROOM
    assert not re.search(r'status="5\d\d"} [1-9]', metrics(served))


def recall(served: Served) -> int:
    return served.ask("GET", "/recall?user_id=u")[0]


def metrics(served: Served) -> str:
    line = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    with contextlib.closing(line):
        line.request("GET", "/metrics")
        return line.getresponse().read().decode()


def send(served: Served, head: str, body: Iterator[bytes]) -> tuple[int, dict[str, Any], int]:
    """Send a head and a body as far as it is taken; return status, problem and bytes sent."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as line:
        line.sendall(f"{head}\r\nHost: x\r\nContent-Type: application/json\r\n\r\n".encode())
        sent = 0
        with contextlib.suppress(ConnectionError):
            for piece in body:
                line.sendall(piece)
                sent += len(piece)
                if answered(line):
                    break
        answer = http.client.HTTPResponse(line)
        answer.begin()
        return answer.status, json.loads(answer.read()), sent


def answered(line: socket.socket) -> bool:
    line.setblocking(False)
    try:
        return bool(line.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        line.settimeout(20)


@pytest.mark.parametrize("path", ["/recall", "/items", "/embed", "/recall/batch"])
@pytest.mark.parametrize("is_announced", [True, False])
def test_a_body_of_200_mib_is_refused_long_before_its_end(
    served: Served, path: str, is_announced: bool
) -> None:
    piece = b" " * (64 << 10)
    if is_announced:
        head = f"POST {path} HTTP/1.1\r\nContent-Length: {HUGE}"
        pieces = iter([piece] * (HUGE // len(piece)))
    else:
        head = f"POST {path} HTTP/1.1\r\nTransfer-Encoding: chunked"
        framed = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
        pieces = iter([framed] * (HUGE // len(piece)))
    status, problem, sent = send(served, head, pieces)
    assert (status, problem["type"]) == (413, "/docs#too-large")
    assert problem["limit_bytes"] in (MIB, 8 * MIB)
    assert sent < 32 * MIB


DEEP = [b"[" * MIB, b'{"a":' * (MIB // 5), b'{"user":' + b"[" * 900_000, b"[" * 500 + b"]" * 500]


@pytest.mark.parametrize("body", DEEP, ids=["lists", "objects", "inside", "closed"])
@pytest.mark.parametrize("path", ["/recall", "/items"])
def test_what_is_nested_deeply_is_refused(served: Served, path: str, body: bytes) -> None:
    head = f"POST {path} HTTP/1.1\r\nContent-Length: {len(body)}"
    status, problem, _ = send(served, head, iter([body]))
    assert status in (400, 422), problem


@pytest.mark.parametrize("number", [b"1", b"NaN"])
@pytest.mark.parametrize(("levels", "expected"), [(254, 422), (255, 400), (960, 400), (1024, 400)])
@pytest.mark.parametrize("path", ["/recall", "/items"])
def test_more_than_254_levels_are_malformed_and_fewer_are_told_with_their_name(
    served: Served, path: str, levels: int, expected: int, number: bytes
) -> None:
    body = b'{"id":' + b"[" * (levels - 1) + number + b"]" * (levels - 1) + b"}"
    head = f"POST {path} HTTP/1.1\r\nContent-Length: {len(body)}"
    status, problem, _ = send(served, head, iter([body]))
    assert status == expected, problem
    if expected == 422:
        assert [one["feature"] for one in problem["errors"]] == ["id"]


def test_a_body_that_trickles_is_given_up_and_holds_nobody_up(served: Served) -> None:
    def trickle() -> Iterator[bytes]:
        for _ in range(600):
            yield b" "
            time.sleep(0.05)
            assert recall(served) == 200

    head = "POST /recall HTTP/1.1\r\nContent-Length: 600"
    status, problem, sent = send(served, head, trickle())
    assert (status, problem["type"]) == (408, "/docs#timeout")
    assert sent < 600


def test_a_client_that_leaves_in_the_middle_of_its_body_leaves_nothing(served: Served) -> None:
    [worker] = served.workers()
    before = worker.num_fds()
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", served.port), timeout=20) as line:
            line.sendall(
                b'POST /items HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n\r\n{"id": "half'
            )
    until_s = time.monotonic() + 20
    while worker.num_fds() > before + 5:
        assert time.monotonic() < until_s, "connections stay"
        time.sleep(0.05)
    assert served.ask("GET", "/items/half")[0] == 404


NONSENSE = [
    (b'{"k": 5', 400),
    (b'{"k": 5}}', 400),
    (b"\x00\x01\x02", 400),
    (b'{"user_id": "\xff\xfe"}', 400),
    (b'{"user_id": "\\ud800"}', 400),
    (b'\xef\xbb\xbf{"k": 5}', 400),
    (b'{"user": {"age": NaN}}', 422),
    (b'{"user": {"age": -Infinity}}', 422),
    (b'{"k": 1e400}', 422),
    (b'{"k": 99999999999999999999999}', 422),
    (b'{"k": 0, "k": 5}', 200),
    (b'{"k": 5, "k": 0}', 422),
]


@pytest.mark.parametrize(("body", "status"), NONSENSE, ids=[str(body) for body, _ in NONSENSE])
def test_nonsense_is_refused_and_of_a_key_that_stands_twice_the_last_counts(
    served: Served, body: bytes, status: int
) -> None:
    head = f"POST /recall HTTP/1.1\r\nContent-Length: {len(body)}"
    assert send(served, head, iter([body]))[0] == status


@pytest.mark.parametrize(
    "head",
    [
        b"\x16\x03\x01\x02\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n" * 1000,
        b"A" * 100_000,
    ],
)
def test_what_is_no_http_ends_its_own_connection(served: Served, head: bytes) -> None:
    address = ("127.0.0.1", served.port)
    with socket.create_connection(address, timeout=20) as line, contextlib.suppress(OSError):
        line.sendall(head)
        line.shutdown(socket.SHUT_WR)
        line.recv(1 << 16)
    assert psutil.pid_exists(served.workers()[0].pid)
