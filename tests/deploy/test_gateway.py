"""The gateway's configuration, in a real nginx before two real replicas on one Redis."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from service.keys.key import new_key
from tests.deploy.dockerfile import ROOT
from tests.deploy.gateway import NGINX, TEMPLATE, Gateway, fill, values
from tests.end_to_end.processes import Served, free_port, redis_url, serve_pair
from tests.tiny import tiny_bundle

needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
GIXY = Path(sys.executable).with_name("gixy")

CLOSED = ("/metrics", "/bundles", "/bundles/tiny-1/activate", "/bundles/rollback", "/none")
SNEAKY = (
    "//metrics",
    "/%6detrics",
    "/items/../metrics",
    "/bundles/..%2Fitems%2Fa/activate",
    "/read",
)


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
    plain = socket.create_connection(("127.0.0.1", gateway.port), timeout=20)
    tls = gateway.trust().wrap_socket(plain, server_hostname="localhost")
    tls.sendall(sent.encode())
    return tls


def exchange(gateway: Gateway, sent: str) -> str:
    """Send bytes as they are, and return all that comes until the connection is closed."""
    with connect(gateway, sent) as tls:
        return b"".join(iter(lambda: tls.recv(65536), b"")).decode("latin-1")


def raw(gateway: Gateway, method: str, path: str) -> str:
    """Send a path as it is, which clients would clean."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    return exchange(gateway, head)


@needs_nginx
def test_what_goes_through_is_as_it_was_sent(gateway: Gateway, client: httpx.Client) -> None:
    answer = client.get("/recall", params={"user_id": "u-secret", "k": 3})
    assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
    assert len(answer.json()["items"]) == 3

    for one in (
        "a%2Fb",
        "a%2Fsimilar",
        "..%2Fx",
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
    answer = client.get("/recall?user_id=u-secret", headers={"X-Request-Id": "not sane"})
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-Id"])
    assert answer.json()["request_id"] == answer.headers["X-Request-Id"]

    line = gateway.line("mine-1")
    assert (line["route"], line["status"], line["protocol"]) == ("/recall", 200, "HTTP/2.0")
    assert line["tls"] == "TLSv1.3"
    assert {one["route"] for one in gateway.lines()} == {"/recall", "/users/{id}"}
    logged = gateway.log.read_text() + gateway.errors.read_text()
    assert not re.search("secret|similar|country|%2F|a;b", logged)


@needs_nginx
def test_what_is_for_operators_is_closed(gateway: Gateway, client: httpx.Client) -> None:
    for path in CLOSED:
        for method in ("GET", "POST"):
            answer = client.request(method, path, headers={"X-Request-Id": "closed"})
            assert answer.status_code == 404, path
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.json() | {"type": "/docs#unknown-route", "status": 404} == answer.json()
            assert answer.json()["request_id"] == "closed"
    for path in SNEAKY:
        assert " 404 " in raw(gateway, "POST", path), path
    for path in ("/readyz", "/livez"):
        assert {client.request(one, path).status_code for one in ("POST", "PUT")} == {404}, path
    assert {line["replica"] for line in gateway.lines()} == {""}

    told = client.get("/recall?user_id=u1&debug=true", headers={"Authorization": "Bearer x"})
    assert told.status_code == 403
    assert client.get("/readyz").json()["state"] == "ready"
    assert client.get("/livez").status_code == 204


@needs_nginx
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


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [("", "", 0), ("return 204;", "allow 127.0.0.1; deny all; return 204;", 1)],
    ids=["ours", "bad"],
)
def test_gixy_finds_nothing_in_ours(tmp_path: Path, old: str, new: str, code: int) -> None:
    config = tmp_path / "nginx.conf"
    template = TEMPLATE.read_text("utf-8").replace(old, new) if old else TEMPLATE.read_text("utf-8")
    config.write_text(fill(template, values(tmp_path, 8443, 8080, [8000])))
    told = subprocess.run([GIXY, config], capture_output=True, text=True)
    assert told.returncode == code, told.stdout


@pytest.mark.skipif(shutil.which("envsubst") is None, reason="envsubst is not installed")
def test_the_command_of_the_page_fills_the_template(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    [command] = re.findall(r"```bash\n(envsubst .*?)```", page, re.S)
    folder = tmp_path / "deploy" / "gateway"
    folder.mkdir(parents=True)
    shutil.copy(TEMPLATE, folder)
    told = values(tmp_path, 8443, 8080, [8000, 8001])
    subprocess.run(["bash", "-c", command], cwd=tmp_path, env=os.environ | told, check=True)
    filled = (tmp_path / "nginx.conf").read_text("utf-8")
    assert filled == fill(TEMPLATE.read_text("utf-8"), told)
    assert "http://replicas$request_uri;" in filled


def test_each_call_is_open_or_closed_on_purpose() -> None:
    calls = set(json.loads((ROOT / "docs" / "openapi.json").read_text("utf-8"))["paths"])
    kept = {"/metrics", "/bundles", "/bundles/{version}/activate", "/bundles/rollback"}
    routes = re.search(
        r"map \$request_uri \$route \{(.*?)\n    \}", TEMPLATE.read_text(), re.DOTALL
    )
    assert routes is not None
    patterns = [one.replace("?<", "?P<") for one in re.findall(r'"~(\^.*?)" ', routes[1])]
    is_open = {
        call: any(re.search(one, re.sub(r"\{\w+\}", "x", call)) for one in patterns)
        for call in calls
    }
    assert {call for call, through in is_open.items() if not through} == kept


@needs_nginx
def test_a_browser_of_elsewhere_gets_nothing_and_is_told_to_use_tls(
    gateway: Gateway, client: httpx.Client
) -> None:
    answer = client.get("/version", headers={"Origin": "https://elsewhere.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Server"] == "nginx"

    plain = f"http://127.0.0.1:{gateway.plain_port}"
    answer = httpx.post(f"{plain}/items/a%2Fb?x=1", headers={"Host": "elsewhere.example"})
    assert answer.status_code == 308
    assert answer.headers["Location"] == f"{gateway.url}/items/a%2Fb?x=1"
    assert httpx.get(f"{plain}/livez").status_code == 204


@needs_nginx
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_tls_is_1_2_at_least(gateway: Gateway) -> None:
    old = gateway.trust()
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError), socket.create_connection(("127.0.0.1", gateway.port)) as one:
        old.wrap_socket(one, server_hostname="localhost")


@needs_nginx
def test_bodies_are_limited_as_the_service_limits_them(gateway: Gateway) -> None:
    with httpx.Client(base_url=gateway.url, verify=gateway.trust()) as client:
        for path, limit in (("/recall", 1 << 20), ("/users/u", 1 << 20), ("/items", 8 << 20)):
            method = "PUT" if "users" in path else "POST"
            assert client.request(method, path, content=b"x" * limit).status_code == 400
            for content in (b"x" * (limit + 1), iter([b"x" * limit, b"x"])):  # told, and not told
                answer = client.request(method, path, content=content)
                assert answer.status_code == 413
                told = answer.json()
                assert (told["type"], told["limit_bytes"]) == ("/docs#too-large", limit)


@needs_nginx
def test_a_client_that_asks_too_much_is_told_to_wait(replicas: tuple[Served, Served]) -> None:
    gateway = Gateway([one.port for one in replicas], REQUESTS_PER_S="1", BURST="5")
    try:
        with gateway.client() as client:
            answers = [client.get("/recall?user_id=u-secret&k=1") for _ in range(10)]
            assert [one.status_code for one in answers] == [200] * 6 + [429] * 4
            problem = answers[-1]
            assert problem.headers.get_list("Retry-After") == ["1"]
            assert problem.headers["Content-Type"] == "application/problem+json"
            assert problem.json()["status"] == 429
            assert {client.get("/readyz").status_code for _ in range(10)} == {200}
        assert "secret" not in gateway.log.read_text() + gateway.errors.read_text()
    finally:
        gateway.stop()


@needs_nginx
def test_probes_are_limited_apart_from_clients(replicas: tuple[Served, Served]) -> None:
    gateway = Gateway([one.port for one in replicas], REQUESTS_PER_S="1", BURST="3")
    try:
        with gateway.client() as client:
            recalls = [client.get("/recall?user_id=u&k=1").status_code for _ in range(8)]
            assert recalls == [200] * 4 + [429] * 4
            probes = [client.get("/readyz") for _ in range(150)]
            assert {one.status_code for one in probes[:41]} == {200}
            refused = [one for one in probes if one.status_code == 429]
            assert len(refused) > 20
            assert refused[0].headers["Retry-After"] == "1"
    finally:
        gateway.stop()


@needs_nginx
def test_slow_probes_hold_no_more_than_their_own_connections(
    replicas: tuple[Served, Served],
) -> None:
    gateway = Gateway([one.port for one in replicas], CONNECTIONS="3")
    try:
        with contextlib.ExitStack() as stack:
            head = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx"
            held = [stack.enter_context(connect(gateway, head)) for _ in range(20)]
            told = []
            for one in held:
                one.settimeout(0.2)
                with contextlib.suppress(TimeoutError):
                    told.append(one.recv(12))
            assert told == [b"HTTP/1.1 429"] * 4
            client = stack.enter_context(gateway.client())
            assert client.get("/recall?user_id=u").status_code == 200
    finally:
        gateway.stop()


FULL = "x" * 17_000


@needs_nginx
@pytest.mark.parametrize(("head", "status", "method"), [
    ("TRACE /recall HTTP/1.1\r\nHost: localhost", 405, "TRACE"),
    (f"GET /recall?user_id=u-secret{FULL} HTTP/1.1\r\nHost: localhost", 414, "GET"),
    (f"POST /recall HTTP/1.1\r\nHost: localhost\r\nX: u-secret{FULL}", 431, "POST"),
    ("POST /recall HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip", 501, "POST"),
    ("PUT /users/u-secret HTTP/1.1", 400, "PUT"),  # of no host
    ("PUT /users/..%2F..%2Fu-secret HTTP/1.1\r\nHost: localhost", 400, "PUT"),
    ("u-secret", 400, ""),
    ("GET /users/u-secret HTTP/9.1\r\nHost: localhost", 505, "GET"),
], ids=["trace", "target", "head", "coding", "host", "path", "line", "version"])  # fmt: skip
def test_what_is_not_http_to_the_gateway_is_told_in_our_form(
    gateway: Gateway, head: str, status: int, method: str
) -> None:
    answer = exchange(gateway, f"{head}\r\nConnection: close\r\n\r\n")
    told, _, body = answer.partition("\r\n\r\n")
    assert told.startswith(f"HTTP/1.1 {status} ")
    assert "Content-Type: application/problem+json" in told.split("\r\n")
    problem = json.loads(body)
    assert (problem["status"], problem["type"]) == (status, "about:blank")
    assert problem["title"] != "The request cannot be answered"
    line = gateway.line(problem["request_id"])
    assert (line["status"], line["method"], line["replica"]) == (status, method, "")
    assert "secret" not in gateway.log.read_text() + gateway.errors.read_text()


@needs_nginx
def test_plain_http_where_tls_is_spoken_is_told_in_our_form(gateway: Gateway) -> None:
    answer = httpx.get(f"http://127.0.0.1:{gateway.port}/recall")
    assert (answer.status_code, answer.json()["status"]) == (400, 400)


@needs_nginx
def test_http_2_tells_of_it_in_our_form_too_or_ends(gateway: Gateway, client: httpx.Client) -> None:
    for method, path, status in (("TRACE", "/recall", 405), ("PUT", "/users/..%2F..%2Fx", 400)):
        answer = client.request(method, path)
        assert (answer.http_version, answer.status_code) == ("HTTP/2", status)
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["status"] == status
    with pytest.raises(httpx.RemoteProtocolError, match="ConnectionTerminated"):
        client.get("/recall", headers={f"X-{number}": FULL[:12_000] for number in range(8)})
    time.sleep(0.1)
    assert [line["status"] for line in gateway.lines()] == [405, 400, 0]


@needs_nginx
def test_a_batch_that_nobody_answers_is_not_called_too_large() -> None:
    gateway = Gateway([free_port()])
    try:
        with httpx.Client(base_url=gateway.url, verify=gateway.trust()) as client:
            answer = client.post("/items", content=b"x" * (2 << 20))
            assert (answer.status_code, answer.json()["status"]) == (502, 502)
    finally:
        gateway.stop()


@needs_nginx
def test_the_place_of_problems_is_closed(gateway: Gateway) -> None:
    for path in ("/problem", "/%70roblem", "/x/../problem"):
        answer = raw(gateway, "GET", path)
        assert answer.startswith("HTTP/1.1 404 "), path
        assert '"type": "/docs#unknown-route"' in answer


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[tuple[Gateway, Served]]:
    """A gateway before two replicas of its own, and the one that may be killed."""
    with serve_pair(tmp_path) as (first, second):
        gateway = Gateway([first.port, second.port])
        yield gateway, second
        gateway.stop()


@needs_nginx
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
    tried = [line["replica"].count(",") + 1 for line in gateway.lines()]
    assert max(tried) == 2  # some were repeated, and those once


@needs_nginx
def test_what_could_not_be_sent_at_all_is_sent_to_another(replicas: tuple[Served, Served]) -> None:
    gateway = Gateway([free_port(), replicas[0].port])
    try:
        with gateway.client() as client:
            for method, path, body in (
                ("POST", "/recall", {"user_id": "u1"}),
                ("POST", "/items", {"id": "sent"}),
                ("PATCH", "/items/sent", {"topics": ["art"]}),
                ("PUT", "/users/sent", {}),
            ):
                answers = [client.request(method, path, json=body) for _ in range(4)]
                assert {one.status_code for one in answers} <= {200, 201}, method
        assert max(line["replica"].count(",") for line in gateway.lines()) == 1
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


@needs_nginx
def test_a_replica_without_a_bundle_takes_no_read_along(
    replicas: tuple[Served, Served], tmp_path: Path
) -> None:
    """Its 503 to a write goes to the client: one whose store is silent may have happened."""
    with bare_replica(tmp_path) as bare:
        gateway = Gateway([bare, replicas[0].port])
        try:
            with gateway.client() as client:
                for path in ("/recall?user_id=u1", "/items/i1/similar", "/readyz"):
                    answers = [client.get(path) for _ in range(6)]
                    assert {one.status_code for one in answers} == {200}, path
                read = [line["replica_status"] for line in gateway.lines()]
                assert any(one.startswith("503, 2") for one in read), read
                for method, good in (("PUT", {200, 201}), ("DELETE", {204})):
                    answers = [client.request(method, "/users/u1", json={}) for _ in range(6)]
                    assert {one.status_code for one in answers} <= good | {503}, method
                    assert any(one.status_code == 503 for one in answers), method
            written = [line["replica_status"] for line in gateway.lines()[len(read) :]]
            assert not any("," in one for one in written), written
        finally:
            gateway.stop()


@needs_nginx
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
            time.sleep(0.06)  # below the limit of probes
            if replaced_s is None and all(
                {worker.pid for worker in one.workers()} - set(old)
                for one, old in zip(pair, before, strict=True)
            ):
                replaced_s = time.monotonic()
        assert replaced_s is not None
        assert set(told) == {200}


class Dying(BaseHTTPRequestHandler):
    """A replica that reads a request, takes its time, and ends."""

    asked: list[str]
    takes_s = 0.0

    def handle_one_request(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            more = self.connection.recv(65536)
            if not more:
                break
            head += more
        if head:
            self.asked.append(head.decode().partition(" ")[0])
        time.sleep(self.takes_s)
        self.close_connection = True


@contextlib.contextmanager
def dying_replicas(takes_s: float = 0.0) -> Iterator[tuple[list[int], list[str]]]:
    """Give the ports of four replicas that die of a request, and the methods they are asked by."""
    asked: list[str] = []
    dying = type("One", (Dying,), {"asked": asked, "takes_s": takes_s})
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), dying) for _ in range(4)]
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


@needs_nginx
@pytest.mark.parametrize(("method", "path", "times"), [
    ("GET", "/items/a", 3), ("GET", "/recall?user_id=u-secret", 3),
    ("POST", "/items", 1), ("POST", "/recall", 1), ("PATCH", "/items/a", 1),
    ("PUT", "/users/u", 3), ("DELETE", "/items/a", 3), ("DELETE", "/users/u", 3),
])  # fmt: skip
def test_what_is_the_same_when_done_twice_is_asked_again(
    method: str, path: str, times: int
) -> None:
    with dying_replicas() as (ports, asked):
        gateway = Gateway(ports)
        try:
            with gateway.client() as client:
                answer = client.request(method, path, headers={"X-Request-Id": "one"})
        finally:
            gateway.stop()
    assert asked == [method] * times
    assert answer.status_code == 502
    assert answer.headers["Retry-After"] == "1"
    assert answer.json() == {
        "type": "about:blank",
        "title": "No replica answers",
        "status": 502,
        "detail": "No replica answers",
        "request_id": "one",
    }


@needs_nginx
@pytest.mark.parametrize(("limit", "times"), [("3500ms", 1), ("500ms", 3)], ids=["ours", "short"])
def test_a_write_that_takes_too_long_is_not_asked_again(limit: str, times: int) -> None:
    """A replica may do it yet, when another write has come since. `ours` is shortened from 30 s."""
    ours = TEMPLATE.read_text("utf-8")
    assert ours.count("proxy_read_timeout 30s;") == 1
    with dying_replicas(takes_s=4.0) as (ports, asked):
        gateway = Gateway(
            ports, ours.replace("proxy_read_timeout 30s", f"proxy_read_timeout {limit}")
        )
        try:
            with gateway.client() as client:
                answer = client.put("/users/u", json={})
        finally:
            gateway.stop()
    assert answer.status_code == 504
    assert asked == ["PUT"] * times


@needs_nginx
@pytest.mark.parametrize(("ejects", "are_asked"), [("", True), ("max_fails=3", False)])
def test_replicas_that_are_all_slow_are_asked_still(ejects: str, are_asked: bool) -> None:
    """As long as nginx leaves nobody alone who was slow, which each `server` must tell it."""
    with dying_replicas(takes_s=2.5) as (ports, asked):
        told = values(Path(), 0, 0, ports)["GATEWAY_REPLICAS"]
        assert told.count("max_fails=0") == len(ports)
        told = told.replace("max_fails=0", ejects) if ejects else told
        gateway = Gateway(ports, REPLICAS=told)
        try:
            with gateway.client() as client, ThreadPoolExecutor(16) as pool:
                reads = [pool.submit(client.get, "/recall?user_id=u") for _ in range(16)]
                assert {one.result().status_code for one in reads} <= {502, 504}
                client.post("/recall", json={})
        finally:
            gateway.stop()
    assert ("POST" in asked) == are_asked


@needs_nginx
def test_a_slow_client_is_left_alone_by_replicas(gateway: Gateway) -> None:
    plain = socket.create_connection(("127.0.0.1", gateway.port), timeout=10)
    begun = time.monotonic()
    with gateway.trust().wrap_socket(plain, server_hostname="localhost") as tls:
        tls.sendall(b"GET /recall?user_id=u HTTP/1.1\r\nHost: local")
        assert tls.recv(100) == b""  # closed
    assert 4 < time.monotonic() - begun < 8
