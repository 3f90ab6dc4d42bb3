"""What is measured before the steady load is what was answered, and not what failed."""

import asyncio
import io
import itertools
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from benchmarks.gateway.traffic import Plan, Traffic

BODY = b'{"log_id":"","record":{}}'


class Refusing(BaseHTTPRequestHandler):
    """Answers every other request with 503."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    numbers: Iterator[int]

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200 if next(self.numbers) % 2 else 503)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def half(tmp_path: Path) -> Iterator[tuple[int, type[Refusing]]]:
    """The port of a server that answers half of what it is asked."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    handler = type("One", (Refusing,), {"numbers": itertools.count(1)})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port, handler
        server.shutdown()
        thread.join(5)


@pytest.mark.parametrize("clients", [1, 8])
def test_a_capacity_is_of_what_was_answered_well(
    tmp_path: Path, half: tuple[int, type[Refusing]], clients: int
) -> None:
    port, server = half
    plan = Plan(
        port=port, authority=tmp_path / "authority.pem", connections=8, clients=clients,
        measured_s=0.5, share=0.5, users=9, items=99, clusters=2, k=3, every=9, seed=1,
    )  # fmt: skip

    async def measure() -> float:
        traffic, is_over = Traffic(plan, io.StringIO()), asyncio.Event()
        capacity = await traffic.measure()
        is_over.set()
        await traffic.run(1.0, 0.0, is_over)  # which closes what is kept
        await asyncio.sleep(0.2)  # for TLS says good-bye first
        return capacity

    capacity = asyncio.run(measure())
    asked = next(server.numbers) - 1
    assert asked > 20
    assert capacity * plan.measured_s == pytest.approx(asked / 2, abs=clients)
