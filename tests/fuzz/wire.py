"""Requests as text, sent over a socket to a real service, and its answers held to its word."""

import http.client
import socket
import time

from tests.end_to_end.processes import Served
from tests.fuzz.asked import KEY, Asked
from tests.fuzz.judged import Answer, judge

TIMEOUT_S = 15
OWN = (b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade", b"pieces")
"""What the sending side decides."""


def send(served: Served, key: str, asked: Asked, *, chunked: bool) -> Answer | None:
    """Send a request, whole or in chunks, and judge the answer.

    None: what is no HTTP ended its own connection, or was refused by the server itself.

    Raises:
        AssertionError: The answer breaks a promise.

    """
    with socket.create_connection(("127.0.0.1", served.port), timeout=TIMEOUT_S) as line:
        line.sendall(_bytes(asked, key, chunked=chunked))
        answer = http.client.HTTPResponse(line, method=asked.method.decode())
        begun_s = time.monotonic()
        try:
            answer.begin()
            body = answer.read()
        except (http.client.HTTPException, ConnectionError):
            return None
        assert time.monotonic() - begun_s < TIMEOUT_S
    headers = {name.lower(): value for name, value in answer.getheaders()}
    if "x-request-id" not in headers:
        assert answer.status in (400, 501), "uvicorn's own"
        return None
    told = Answer(answer.status, headers, body)
    if asked.method != b"HEAD":
        judge(asked, told)
    return told


def _bytes(asked: Asked, key: str, *, chunked: bool) -> bytes:
    lines = [asked.method + b" " + asked.target + b" HTTP/1.1"]
    bearer = b"Bearer " + key.encode()
    for name, value in asked.headers:
        if name not in OWN:
            is_key = (name, value) == (b"authorization", KEY)
            lines.append(name + b": " + (bearer if is_key else value))
    if not asked.has(b"host"):
        lines.append(b"host: 127.0.0.1")
    lines.append(b"connection: close")
    if chunked and asked.body:
        half = len(asked.body) // 2
        pieces = [part for part in (asked.body[:half], asked.body[half:]) if part]
        framed = b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in pieces) + b"0\r\n\r\n"
        return b"\r\n".join([*lines, b"transfer-encoding: chunked", b"", framed])
    lines.append(b"content-length: %d" % len(asked.body))
    return b"\r\n".join([*lines, b"", asked.body])
