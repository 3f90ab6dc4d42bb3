"""The gateway's configuration, in a real HAProxy before two real replicas on one Redis."""

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.keys.key import new_key
from tests.deploy.dockerfile import ROOT
from tests.deploy.gateway import CONFIG, HAPROXY, Gateway, is_open
from tests.deploy.names import HOSTS
from tests.end_to_end.processes import Served, free_port, redis_url, serve_pair
from tests.tiny import tiny_bundle

needs_haproxy = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")

CLOSED = ("/metrics", "/bundles", "/bundles/tiny-1/activate", "/bundles/rollback", "/none")
SNEAKY = (
    "//metrics",
    "/%6detrics",
    "/items/../metrics",
    "/bundles/..%2Fitems%2Fa/activate",
    "http://localhost/metrics",
)
SECRET, _ = new_key("shop", "recall")


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Served]]:
    with serve_pair(tmp_path_factory.mktemp("pair")) as found:
        yield found


@pytest.fixture
def gateway(replicas: tuple[Served, Served]) -> Iterator[Gateway]:
    gateway = Gateway([one.port for one in replicas])
    yield gateway
    gateway.stop()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[httpx.Client]:
    with gateway.client() as client:
        yield client


def connect(gateway: Gateway, sent: str) -> ssl.SSLSocket:
    """Send bytes as they are, and leave the connection open."""
    tls = gateway.trust().wrap_socket(socket.socket(), server_hostname="localhost")
    with contextlib.ExitStack() as stack:
        stack.enter_context(tls)
        tls.settimeout(20)
        tls.connect(("127.0.0.1", gateway.port))  # wrapped before, it is ours to close if reset
        tls.sendall(sent.encode())
        stack.pop_all()  # it was sent, and stays open
    return tls


def exchange(gateway: Gateway, sent: str) -> str:
    """Send bytes as they are, and return all that comes until the connection is closed."""
    with connect(gateway, sent) as tls:
        return b"".join(iter(lambda: tls.recv(65536), b"")).decode("latin-1")


def raw(gateway: Gateway, method: str, path: str) -> str:
    """Send a path as it is, which clients would clean."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    return exchange(gateway, head)


@needs_haproxy
def test_what_goes_through_is_as_it_was_sent(gateway: Gateway, client: httpx.Client) -> None:
    answer = client.get("/recall", params={"user_id": "u-secret", "k": 3})
    assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
    assert len(answer.json()["items"]) == 3

    for one in (
        "a%2Fb",
        "a%2Fsimilar",
        "..%2F..%2Fx",
        "a%2F%2Fb",
        "%25",
        "%C3%BC%20%3F%23",
        "a+b",
        "a;b=c",
    ):
        body = {"country": "secretland", "age": 30}
        assert client.put(f"/users/{one}", json=body).status_code == 201, one
        told = client.get(f"/users/{one}").json()["id"]
        assert told == httpx.URL(f"http://x/{one}").path[1:], one

    given = {"X-Request-Id": "mine-1"}
    answer = client.get("/recall?user_id=u-secret", headers=given)
    assert answer.headers.get_list("X-Request-Id") == ["mine-1"]
    assert answer.json()["request_id"] == "mine-1"
    for bad in ("not sane", SECRET):
        answer = client.get("/recall?user_id=u-secret", headers={"X-Request-Id": bad})
        assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["X-Request-Id"])
        assert answer.json()["request_id"] == answer.headers["X-Request-Id"]

    line = gateway.line("mine-1")
    assert (line["route"], line["status"], line["protocol"]) == ("/recall", 200, "HTTP/2.0")
    assert (line["method"], line["tls"], line["retries"]) == ("GET", "TLSv1.3", "0")
    assert line["replica"] in {f"127.0.0.1:{port}" for port in gateway.names.ports}
    assert {one["route"] for one in gateway.lines()} == {"/recall", "/users/{id}"}
    logged = gateway.log.read_text() + gateway.errors.read_text()
    assert not re.search("secret|similar|country|%2F|a;b|fs_", logged)


@needs_haproxy
def test_what_is_for_operators_is_closed(gateway: Gateway, client: httpx.Client) -> None:
    for path in CLOSED:
        for method in ("GET", "POST"):
            answer = client.request(method, path, headers={"X-Request-Id": "closed"})
            assert answer.status_code == 404, path
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.json() | {"type": "/docs#unknown-route", "status": 404} == answer.json()
            assert answer.json()["request_id"] == answer.headers["X-Request-Id"] == "closed"
    for path in SNEAKY:
        assert " 404 " in raw(gateway, "POST", path), path
    for path in ("/readyz", "/livez"):
        assert {client.request(one, path).status_code for one in ("POST", "PUT")} == {404}, path
    assert {line["replica"] for line in gateway.lines()} == {"-:-"}

    told = client.get("/recall?user_id=u1&debug=true", headers={"Authorization": "Bearer x"})
    assert told.status_code == 403
    ready = {"state": "ready", "replicas": {"reads": 2, "writes": 2}}
    assert client.get("/readyz").json() == ready
    assert client.get("/livez").status_code == 204


@needs_haproxy
def test_its_own_figures_are_for_those_inside(gateway: Gateway, client: httpx.Client) -> None:
    assert client.get("/recall?user_id=u-secret").status_code == 200
    assert client.get("/metrics").status_code == 404
    inside = f"http://127.0.0.1:{gateway.metrics_port}"
    told = httpx.get(f"{inside}/metrics").text
    ready = re.findall(r'haproxy_server_status\{proxy="reads",.*state="UP"\} 1', told)
    assert len(ready) == 2
    page = (ROOT / "docs" / "metrics.md").read_text("utf-8").partition("## Of the gateway")[2]
    named = set(re.findall(r"haproxy_\w+", page))
    assert len(named) > 5
    assert named <= set(re.findall(r"^haproxy_\w+", told, re.M))
    assert "secret" not in told
    assert httpx.get(f"{inside}/recall?user_id=u").status_code == 404


@needs_haproxy
def test_a_key_goes_through_and_opens_nothing_that_is_closed(tmp_path: Path) -> None:
    admin, line = new_key("ops", "admin")
    (tmp_path / "keys").write_text(line)
    served = Served(
        tmp_path / "data", tiny_bundle(tmp_path / "bundles"), keys_file=tmp_path / "keys"
    )
    gateway = Gateway([served.port])
    try:
        with gateway.client() as client:
            refused = client.get("/recall?user_id=u")
            assert refused.status_code == 401
            assert refused.headers["WWW-Authenticate"] == "Bearer"
            client.headers["Authorization"] = f"Bearer {admin}"
            assert client.get("/recall?user_id=u&debug=true").status_code == 200
            assert client.put("/users/u", json={"age": 3}).status_code == 201
            assert client.get("/bundles").status_code == 404
            assert client.get("/metrics").status_code == 404
        assert admin not in gateway.log.read_text() + gateway.errors.read_text()
    finally:
        gateway.stop()
        served.kill()


@needs_haproxy
@pytest.mark.parametrize(
    ("old", "new", "code"),
    [("", "", 0), ("    retries 2\n", "    retires 2\n", 1), ("timeout server 30s", "", 1)],
    ids=["ours", "misspelt", "warned of"],
)
def test_haproxy_warns_of_nothing_in_ours(gateway: Gateway, old: str, new: str, code: int) -> None:
    assert HAPROXY is not None
    ours = CONFIG.read_text("utf-8")
    assert old in ours
    gateway.config.write_text(ours.replace(old, new) if old else ours, "utf-8")
    words = [HAPROXY, "-c", "-dW", "-f", str(gateway.config)]
    told = subprocess.run(words, env=os.environ | gateway.told, capture_output=True, text=True)
    assert told.returncode == code, told.stderr


def test_each_call_is_open_or_closed_on_purpose() -> None:
    calls = set(json.loads((ROOT / "docs" / "openapi.json").read_text("utf-8"))["paths"])
    kept = {"/metrics", "/bundles", "/bundles/{version}/activate", "/bundles/rollback"}
    closed = {call for call in calls if not is_open(re.sub(r"\{\w+\}", "x", call))}
    assert closed == kept


@needs_haproxy
def test_a_browser_of_elsewhere_gets_nothing_and_is_told_to_use_tls(
    gateway: Gateway, client: httpx.Client
) -> None:
    answer = client.get("/version", headers={"Origin": "https://elsewhere.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none';")
    assert "Server" not in answer.headers

    plain = f"http://127.0.0.1:{gateway.plain_port}"
    answer = httpx.post(f"{plain}/items/a%2Fb?x=1", headers={"Host": "elsewhere.example"})
    assert answer.status_code == 308
    assert answer.headers["Location"] == f"{gateway.url}/items/a%2Fb?x=1"
    assert httpx.get(f"{plain}/livez").status_code == 204


@needs_haproxy
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_tls_is_1_2_at_least(gateway: Gateway) -> None:
    old = gateway.trust()
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError), socket.create_connection(("127.0.0.1", gateway.port)) as one:
        old.wrap_socket(one, server_hostname="localhost")


@needs_haproxy
def test_bodies_are_limited_as_the_service_limits_them(gateway: Gateway) -> None:
    with httpx.Client(base_url=gateway.url, verify=gateway.trust()) as client:
        for path, limit in (("/recall", 1 << 20), ("/users/u", 1 << 20), ("/items", 8 << 20)):
            method = "PUT" if "users" in path else "POST"
            assert client.request(method, path, content=b"x" * limit).status_code == 400
            for content, detail in (
                (b"x" * (limit + 1), "The body is too large"),
                (iter([b"x" * limit, b"x"]), f"expected at most {limit} bytes"),  # the service's
            ):
                answer = client.request(method, path, content=content)
                assert answer.status_code == 413
                told = answer.json()
                assert (told["type"], told["limit_bytes"]) == ("/docs#too-large", limit)
                assert told["detail"] == detail


@needs_haproxy
def test_a_client_that_asks_too_much_is_told_to_wait(replicas: tuple[Served, Served]) -> None:
    """And another is not, nor a probe."""
    gateway = Gateway([one.port for one in replicas], REQUESTS_PER_S="6")
    try:
        elsewhere = httpx.HTTPTransport(verify=gateway.trust(), local_address="127.0.0.2")
        with gateway.client() as client, httpx.Client(transport=elsewhere) as another:
            answers = [client.get("/recall?user_id=u-secret&k=1") for _ in range(10)]
            assert [one.status_code for one in answers] == [200] * 6 + [429] * 4
            problem = answers[-1]
            assert problem.headers.get_list("Retry-After") == ["1"]
            assert problem.headers["Content-Type"] == "application/problem+json"
            assert problem.json()["status"] == 429
            assert {client.get("/readyz").status_code for _ in range(30)} == {200}
            assert another.get(f"{gateway.url}/recall?user_id=u&k=1").status_code == 200
            time.sleep(2)
            assert client.get("/recall?user_id=u&k=1").status_code == 200
        assert "secret" not in gateway.log.read_text() + gateway.errors.read_text()
    finally:
        gateway.stop()


@needs_haproxy
def test_a_client_holds_no_more_than_its_own_connections(replicas: tuple[Served, Served]) -> None:
    gateway = Gateway([one.port for one in replicas], CONNECTIONS="3")
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(connect(gateway, "GET /recall HTTP/1.1\r\n"))
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                connect(gateway, "GET /recall HTTP/1.1\r\n")
            elsewhere = httpx.HTTPTransport(verify=gateway.trust(), local_address="127.0.0.2")
            another = stack.enter_context(httpx.Client(transport=elsewhere))
            assert another.get(f"{gateway.url}/recall?user_id=u").status_code == 200
            assert gateway.ready == {2}  # of plain HTTP nothing is counted
    finally:
        gateway.stop()


FULL = "x" * 33_000


@needs_haproxy
@pytest.mark.parametrize("head", [
    f"POST /recall HTTP/1.1\r\nHost: localhost\r\nX: u-secret{FULL}",
    "POST /recall HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip",
    "PUT /users/u-secret HTTP/1.1\r\nHost: a\r\nHost: b",
    "PUT /users/u-secret HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2",
    "u-secret",
], ids=["head", "coding", "hosts", "lengths", "line"])  # fmt: skip
def test_what_is_not_http_comes_to_no_replica(gateway: Gateway, head: str) -> None:
    answer = exchange(gateway, f"{head}\r\nConnection: close\r\n\r\n")
    assert answer.startswith("HTTP/1.1 400 ")
    line = gateway.line("-")
    assert (line["status"], line["replica"]) == (400, "-:-")
    assert "secret" not in gateway.log.read_text() + gateway.errors.read_text()


@needs_haproxy
def test_a_handshake_that_fails_is_a_line_of_json_too(gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as plain:
        plain.sendall(b"GET /users/u-secret HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            while plain.recv(1000):
                pass
    [line] = gateway.wait_for_lines()
    assert (line["client"], line["replica"]) == ("127.0.0.1", "-:-")
    assert line["error"] == "SSL handshake failure"


@needs_haproxy
def test_who_floods_plain_http_takes_nothing_from_others(replicas: tuple[Served, Served]) -> None:
    """Limits are a hundredth here."""
    ours = CONFIG.read_text("utf-8")
    assert (ours.count("maxconn 4096\n"), ours.count("maxconn 1024\n")) == (2, 1)
    ours = ours.replace("maxconn 4096\n", "maxconn 40\n").replace("maxconn 1024\n", "maxconn 10\n")
    gateway = Gateway([one.port for one in replicas], ours)
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(50):
                plain = socket.create_connection(("127.0.0.1", gateway.plain_port), timeout=20)
                stack.enter_context(plain)
            begun = time.monotonic()
            with gateway.client() as client:
                assert client.get("/recall?user_id=u").status_code == 200
            assert time.monotonic() - begun < 3  # heads that do not come are waited for for 5 s
    finally:
        gateway.stop()


@needs_haproxy
def test_nobody_is_ready_where_nobody_answers() -> None:
    gateway = Gateway([free_port()], ready=0)
    try:
        until = time.monotonic() + 20
        while gateway.errors.read_text().count("/replica1 is DOWN") < 2:
            assert time.monotonic() < until
            time.sleep(0.02)
        with gateway.client() as client:
            for method, path in (("GET", "/readyz"), ("GET", "/recall"), ("POST", "/items")):
                answer = client.request(method, path, headers={"X-Request-Id": "one"})
                assert answer.status_code == 503
                assert answer.headers["Retry-After"] == "1"
                assert answer.json() == {
                    "type": "about:blank",
                    "title": "No replica is ready",
                    "status": 503,
                    "detail": "No replica is ready",
                    "request_id": "one",
                }
    finally:
        gateway.stop()


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[tuple[Gateway, Served]]:
    """A gateway before two replicas of its own, and the one that may be killed."""
    with serve_pair(tmp_path) as (first, second):
        gateway = Gateway([first.port, second.port])
        yield gateway, second
        gateway.stop()


@needs_haproxy
def test_no_read_fails_while_a_replica_is_killed(mortal: tuple[Gateway, Served]) -> None:
    gateway, replica = mortal
    statuses: list[int] = []
    is_over = threading.Event()

    def keep_reading() -> None:
        with gateway.client() as client:
            while not is_over.is_set():
                statuses.append(client.get("/recall?user_id=u-secret&k=3").status_code)

    readers = [threading.Thread(target=keep_reading) for _ in range(4)]
    for reader in readers:
        reader.start()
    time.sleep(0.5)
    before = len(statuses)
    replica.kill()
    time.sleep(2.5)
    is_over.set()
    for reader in readers:
        reader.join(20)
    assert before > 20
    assert len(statuses) > 2 * before
    assert set(statuses) == {200}
    assert "secret" not in gateway.log.read_text() + gateway.errors.read_text()
    assert {line["retries"] for line in gateway.lines()} == {"0", "+1"}  # some, at another
    gateway.wait_for(1)


@needs_haproxy
def test_what_could_not_be_sent_at_all_is_sent_to_another(replicas: tuple[Served, Served]) -> None:
    """And who refuses three times is left alone, before a check tells of it; here none does."""
    ours = CONFIG.read_text("utf-8")
    assert ours.count(" inter 1s ") == 1
    with dying_replicas(1) as ([gone], _):
        gateway = Gateway([gone, replicas[0].port], ours.replace(" inter 1s ", " inter 60s "))
    try:
        with gateway.client() as client:
            for method, path, body in (
                ("POST", "/recall", {"user_id": "u1"}),
                ("POST", "/items", {"id": "sent"}),
                ("PATCH", "/items/sent", {"topics": ["art"]}),
                ("PUT", "/users/sent", {}),
            ):
                answers = [client.request(method, path, json=body) for _ in range(2)]
                assert {one.status_code for one in answers} <= {200, 201}, method
        assert {line["retries"] for line in gateway.lines()} == {"0", "+1"}
        gateway.wait_for(1, 2)  # of reads there were none
    finally:
        gateway.stop()


@contextlib.contextmanager
def bare_replica(folder: Path) -> Iterator[int]:
    """Serve without a bundle; gives the port."""
    port = free_port()
    environ = os.environ | {
        "FIRSTSIGHT_BUNDLES": str(folder),
        "FIRSTSIGHT_DATA_FOLDER": str(folder),
    }
    words = [sys.executable, "-m", "firstsight", "serve", "--port", str(port)]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(words, env=environ, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(httpx.TransportError):
                told = httpx.get(f"http://127.0.0.1:{port}/readyz")
                assert (told.status_code, told.json()["waiting_for"]) == (503, "bundle")
                break
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(30)


@needs_haproxy
def test_a_replica_that_is_not_ready_is_asked_nothing(
    replicas: tuple[Served, Served], tmp_path: Path
) -> None:
    with bare_replica(tmp_path) as bare:
        gateway = Gateway([bare, replicas[0].port], ready=1)
        try:
            with gateway.client() as client:
                for method, path in (
                    ("GET", "/recall?user_id=u1"),
                    ("GET", "/items/i1/similar"),
                    ("PUT", "/users/u1"),
                    ("POST", "/recall"),
                ):
                    body = (
                        None if method == "GET" else {"user_id": "u1"} if "recall" in path else {}
                    )
                    answers = [client.request(method, path, json=body) for _ in range(6)]
                    assert {one.status_code for one in answers} <= {200, 201}, path
            asked = {line["replica"] for line in gateway.lines()}
            assert asked == {f"127.0.0.1:{replicas[0].port}"}
        finally:
            gateway.stop()


@needs_haproxy
def test_replicas_come_and_go_by_their_name(replicas: tuple[Served, Served]) -> None:
    first, second = (one.port for one in replicas)
    gateway = Gateway([first])
    try:
        with gateway.client() as client:
            for ports in ([first, second], [second]):
                gateway.names.ports = ports
                gateway.wait_for(len(ports))
                told = {client.get("/recall?user_id=u").headers["X-Request-Id"] for _ in range(8)}
                assert {gateway.line(one)["replica"] for one in told} == {
                    f"127.0.0.1:{port}" for port in ports
                }
    finally:
        gateway.stop()


@needs_haproxy
def test_replicas_that_hand_over_are_ready_all_the_while(tmp_path: Path) -> None:
    """Also where all do at once, and the gateway keeps connections to those who leave."""
    bundle = tiny_bundle(tmp_path / "bundles")
    with contextlib.ExitStack() as stack:
        first = Served(tmp_path / "first", bundle, linger_s=4)
        stack.callback(first.kill)
        second = Served(tmp_path / "second", bundle, "--redis", redis_url(first), linger_s=4)
        stack.callback(second.kill)
        pair = (first, second)
        gateway = Gateway([one.port for one in pair])
        stack.callback(gateway.stop)
        client = stack.enter_context(gateway.client())
        before = [[worker.pid for worker in one.workers()] for one in pair]
        for one in pair:
            one.process.send_signal(signal.SIGHUP)
        told, until, replaced_s = [], time.monotonic() + 30, None
        while time.monotonic() < until and (
            replaced_s is None or time.monotonic() < replaced_s + 1.5
        ):
            told += [client.get(path).status_code for path in ("/readyz", "/recall?user_id=u1")]
            time.sleep(0.02)
            if replaced_s is None and all(
                {worker.pid for worker in one.workers()} - set(old)
                for one, old in zip(pair, before, strict=True)
            ):
                replaced_s = time.monotonic()
        assert replaced_s is not None
        assert set(told) == {200}


class Dying(BaseHTTPRequestHandler):
    """A replica that is ready, reads any other request, takes its time, and ends."""

    asked: list[str]
    takes_s = 0.0

    def handle_one_request(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            more = self.connection.recv(65536)
            if not more:
                break
            head += more
        if head.startswith(b"GET /readyz "):
            self.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        elif head:
            self.asked.append(head.decode().partition(" ")[0])
            time.sleep(self.takes_s)
        self.close_connection = True


@contextlib.contextmanager
def dying_replicas(
    replicas: int = 4, takes_s: float = 0.0
) -> Iterator[tuple[list[int], list[str]]]:
    """Give ports of replicas that die of a request, and the methods by which they are asked."""
    asked: list[str] = []
    dying = type("One", (Dying,), {"asked": asked, "takes_s": takes_s})
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), dying) for _ in range(replicas)]
    threads = [threading.Thread(target=one.serve_forever, args=(0.01,)) for one in servers]
    for thread in threads:
        thread.start()
    try:
        yield [one.server_address[1] for one in servers], asked
    finally:
        for one, thread in zip(servers, threads, strict=True):
            one.shutdown()
            thread.join(5)
            one.server_close()


class Noting(BaseHTTPRequestHandler):
    """A replica that is ready, and notes the head of any other request, for which it takes long.

    `Peer` in a head is the port that the request came from.
    """

    protocol_version = "HTTP/1.1"
    heads: list[Message]
    takes_s = 0.0
    status = 200

    def do_GET(self) -> None:
        is_probe = self.path == "/readyz"
        if not is_probe:
            self.headers["Peer"] = str(self.client_address[1])
            self.heads.append(self.headers)
            time.sleep(self.takes_s)
        self.send_response(200 if is_probe else self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_DELETE = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def noting_replica(
    takes_s: float = 0.0, status: int = 200, host: str = "127.0.0.1", port: int = 0
) -> Iterator[tuple[int, list[Message]]]:
    """Give the port of a replica, and the heads that it was sent."""
    heads: list[Message] = []
    noting = type("One", (Noting,), {"heads": heads, "takes_s": takes_s, "status": status})
    with ThreadingHTTPServer((host, port), noting) as replica:
        thread = threading.Thread(target=replica.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield replica.server_address[1], heads
        finally:
            replica.shutdown()
            thread.join(5)


@needs_haproxy
def test_who_is_busy_is_asked_less() -> None:
    with noting_replica(takes_s=1.5) as (slow, asked), noting_replica() as (quick, others):
        gateway = Gateway([slow, quick])
        try:
            with ThreadPoolExecutor(2) as pool:
                first = [pool.submit(answer_of, gateway) for _ in range(2)]
                until = time.monotonic() + 5
                while not asked:
                    assert time.monotonic() < until
                    time.sleep(0.01)
                assert {answer_of(gateway) for _ in range(6)} == {200}
                assert {one.result() for one in first} == {200}
        finally:
            gateway.stop()
    assert (len(asked), len(others)) == (1, 7)


def answer_of(gateway: Gateway) -> int:
    """Return the status of a read, on a connection of its own."""
    with gateway.client() as client:
        return client.get("/recall?user_id=u").status_code


@needs_haproxy
def test_replicas_of_one_port_are_found_by_their_addresses() -> None:
    with noting_replica() as (port, first), noting_replica(host="127.0.0.2", port=port) as others:
        gateway = Gateway([port, port], REPLICAS=f"{HOSTS}:{port}")
        try:
            assert {answer_of(gateway) for _ in range(6)} == {200}
            assert (len(first), len(others[1])) == (3, 3)
            gateway.names.addresses.remove("127.0.0.1")
            gateway.wait_for(1)
            assert {answer_of(gateway) for _ in range(6)} == {200}
            assert (len(first), len(others[1])) == (3, 9)
        finally:
            gateway.stop()


@needs_haproxy
def test_connections_to_replicas_are_kept() -> None:
    with noting_replica() as (port, heads):
        gateway = Gateway([port])
        try:
            with gateway.client() as client:
                for _ in range(20):
                    assert client.get("/recall?user_id=u").status_code == 200
        finally:
            gateway.stop()
    assert len(heads) == 20
    assert len({head["Peer"] for head in heads}) <= 2


@needs_haproxy
def test_a_read_that_is_refused_is_asked_of_another_and_a_write_is_not() -> None:
    with noting_replica(status=503) as (first, refused), noting_replica() as (second, taken):
        gateway = Gateway([first, second])
        try:
            with gateway.client() as client:
                reads = {client.get("/users/u").status_code for _ in range(6)}
                assert (reads, bool(refused), len(taken)) == ({200}, True, 6)
                writes = {client.delete("/users/u").status_code for _ in range(6)}
                assert writes == {200, 503}
        finally:
            gateway.stop()


@needs_haproxy
def test_who_asks_is_told_by_the_gateway_and_not_by_the_client() -> None:
    with noting_replica() as (port, heads):
        gateway = Gateway([port])
        try:
            with gateway.client() as client:
                told = {
                    "Forwarded": "for=192.0.2.1",
                    "X-Forwarded-For": "192.0.2.1",
                    "X-Forwarded-Proto": "http",
                    "X-Request-Id": "mine is not sane",
                }
                answer = client.get("/recall?user_id=u", headers=told)
        finally:
            gateway.stop()
    [head] = heads
    assert "Forwarded" not in head
    assert head.get_all("X-Forwarded-For") == ["127.0.0.1"]
    assert head.get_all("X-Forwarded-Proto") == ["https"]
    assert head.get_all("X-Request-Id") == [answer.headers["X-Request-Id"]]


def ask(gateway: Gateway, method: str, path: str, **more: Any) -> int:
    """Return the status of a problem; that of a stream that is ended without an answer is 0."""
    with gateway.client() as client:
        try:
            answer = client.request(method, path, **more)
        except httpx.RemoteProtocolError:
            return 0
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code
        assert answer.headers["Retry-After"] == "1"
        return answer.status_code


DATED = {"If-Unmodified-Since": "Wed, 20 Nov 2024 07:06:40 GMT"}


@needs_haproxy
@pytest.mark.parametrize(("method", "path", "more", "times"), [
    ("GET", "/items/a", {}, 3), ("GET", "/recall?user_id=u-secret", {}, 3),
    ("POST", "/items", {"json": {}}, 1), ("POST", "/recall", {"json": {}}, 1),
    ("PATCH", "/items/a", {"json": {}}, 1), ("PUT", "/users/u", {"json": {}}, 3),
    ("PUT", "/users/u", {"json": {}, "headers": DATED}, 1),  # its own write would refuse it
    ("PUT", "/users/u", {"json": {"text": "x" * 25_000}}, 3),
    ("PUT", "/users/u", {"json": {"text": "x" * 33_000}}, 1),  # more than is kept of it
    ("DELETE", "/items/a", {}, 3), ("DELETE", "/users/u", {}, 3),
])  # fmt: skip
def test_what_is_the_same_when_done_twice_is_asked_again(
    method: str, path: str, more: dict[str, Any], times: int
) -> None:
    with dying_replicas() as (ports, asked):
        gateway = Gateway(ports)
        try:
            assert ask(gateway, method, path, **more) in (0, 502)
        finally:
            gateway.stop()
    assert asked == [method] * times


@needs_haproxy
@pytest.mark.parametrize(("method", "old", "new", "times"), [
    ("PUT", "timeout server 30s", "timeout server 300ms", 1),
    ("GET", "timeout server 2s", "timeout server 300ms", 3),
    ("GET", "be_conn(reads) gt 256", "be_conn(reads) gt 0", 1),
], ids=["write", "read", "read of too many"])  # fmt: skip
def test_only_a_read_that_takes_too_long_is_asked_again(
    method: str, old: str, new: str, times: int
) -> None:
    """A replica may do a write yet, when another has come since. Limits are shortened here."""
    ours = CONFIG.read_text("utf-8")
    assert ours.count(old) == 1
    with dying_replicas(takes_s=2.5) as (ports, asked):
        gateway = Gateway(ports, ours.replace(old, new))
        try:
            assert ask(gateway, method, "/users/u", json={} if method == "PUT" else None) == 504
        finally:
            gateway.stop()
    assert asked == [method] * times


@needs_haproxy
def test_replicas_that_are_all_slow_are_asked_still() -> None:
    with dying_replicas(takes_s=2.5) as (ports, asked):
        gateway = Gateway(ports)
        try:
            with ThreadPoolExecutor(16) as pool:
                reads = [pool.submit(ask, gateway, "GET", "/recall?user_id=u") for _ in range(16)]
                assert {one.result() for one in reads} <= {0, 502, 504}
            assert gateway.ready == {len(ports)}
            ask(gateway, "POST", "/recall", json={})
        finally:
            gateway.stop()
    assert "POST" in asked


@needs_haproxy
@pytest.mark.parametrize("sent", [
    "GET /recall?user_id=u HTTP/1.1\r\nHost: local",
    "POST /recall HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{",
], ids=["head", "body"])  # fmt: skip
def test_a_slow_client_is_left_alone_by_replicas(gateway: Gateway, sent: str) -> None:
    begun = time.monotonic()
    with connect(gateway, sent) as tls:
        assert tls.recv(100).startswith(b"HTTP/1.1 408 ")
    assert 4 < time.monotonic() - begun < 8
    assert {line["replica"] for line in gateway.wait_for_lines()} == {"-:-"}
