"""Plain lines to a service, on which requests are sent piece by piece."""

import http.client
import socket
import time

from tests.end_to_end.processes import Served

HEAD_S = 0.5
WHOLE = b"GET /version HTTP/1.1\r\nhost: x\r\n\r\n"


def connect(served: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), timeout=10)


def answered(line: socket.socket) -> int:
    answer = http.client.HTTPResponse(line)
    answer.begin()
    answer.read()
    return answer.status


def seconds_until_closed(line: socket.socket, trickle: bytes) -> float:
    begun_s = time.monotonic()
    line.settimeout(HEAD_S / 5)
    while time.monotonic() - begun_s < 10 * HEAD_S:
        try:
            if line.recv(1000) == b"":
                return time.monotonic() - begun_s
            raise AssertionError("nothing was asked")
        except TimeoutError:
            if trickle:
                line.sendall(trickle)
        except ConnectionError:
            return time.monotonic() - begun_s
    raise AssertionError("it stays open")
