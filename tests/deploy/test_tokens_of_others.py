"""The server that docs/deploy.md shows for tokens of others: nginx before gateway and service."""

import contextlib
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from service.keys.key import new_key
from tests.deploy.dockerfile import ROOT
from tests.deploy.gateway import NGINX, NOBODY, TEMPLATE, Gateway
from tests.end_to_end.processes import Served, free_port
from tests.tiny import tiny_bundle

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

GOOD = {"authorization": "Bearer a.good.token"}
AROUND = """
pid {folder}/token.pid;
error_log stderr crit;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/1;
    proxy_temp_path {folder}/2;
    fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4;
    scgi_temp_path {folder}/5;
    {server}
}}
"""


class Verifier(BaseHTTPRequestHandler):
    """Takes one token, as oauth2-proxy or another would take a signed one."""

    def do_GET(self) -> None:
        good = self.path == "/verify" and self.headers["Authorization"] == "Bearer a.good.token"
        self.send_response(204 if good else 401)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@contextlib.contextmanager
def verifier() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Verifier) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


def blocks() -> tuple[str, str]:
    """Return the server of the page, and what it adds to the gateway's."""
    page = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    server, added = re.findall(r"```nginx\n(.*?)```", page, re.S)
    return server, added


def shown(**told: str) -> str:
    """Return the server of the page, with other ports, files and key."""
    server, _ = blocks()
    for name, (old, new) in {
        "port": ("8444", told["port"]),
        "certificate": ("certificate.pem", told["certificate"]),
        "private": ("key.pem", told["private"]),
        "verifier": ("127.0.0.1:9000", told["verifier"]),
        "gateway": ("127.0.0.1:8443", told["gateway"]),
        "key": ("fs_...", told["key"]),
    }.items():
        assert server.count(old) == 1, name
        server = server.replace(old, new)
    return server


def trusting() -> str:
    """Return our template with what the page adds to its server of HTTPS."""
    template, at = TEMPLATE.read_text("utf-8"), "    server {\n        # From nginx 1.25.1"
    assert template.count(at) == 1
    return template.replace(at, at.replace("{\n", "{\n" + blocks()[1], 1))


def wait_for(url: str, nginx: "subprocess.Popen[bytes]") -> None:
    until_s = time.monotonic() + 10
    while time.monotonic() < until_s and nginx.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(url, verify=False)
            return
        time.sleep(0.02)
    raise AssertionError(nginx.poll())


@contextlib.contextmanager
def fronted(tmp_path: Path, **limits: str) -> Iterator[tuple[Gateway, str, str]]:
    """Serve a replica, the gateway and the server of the page; gives its URL and the key."""
    assert NGINX is not None
    key, line = new_key("front", "recall")
    (tmp_path / "keys").write_text(line)
    bundle = tiny_bundle(tmp_path / "bundles")
    with contextlib.ExitStack() as stack:
        served = Served(tmp_path / "data", bundle, keys_file=tmp_path / "keys")
        stack.callback(served.kill)
        gateway = Gateway([served.port], trusting(), **limits)
        stack.callback(gateway.stop)
        port = free_port()
        config = gateway.folder / "front.conf"
        server = shown(
            port=f"127.0.0.1:{port}",
            certificate=str(gateway.folder / "certificate.pem"),
            private=str(gateway.folder / "key.pem"),
            verifier=f"127.0.0.1:{stack.enter_context(verifier())}",
            gateway=f"127.0.0.1:{gateway.port}",
            key=key,
        )
        config.write_text(AROUND.format(folder=gateway.folder, server=server))
        words = [NGINX, "-e", "stderr", "-p", str(gateway.folder), "-c", str(config)]
        nginx = subprocess.Popen(
            [*words, "-g", "daemon off;"],
            user=NOBODY,
            group=NOBODY,
            extra_groups=None if NOBODY is None else [],
        )
        stack.callback(nginx.wait, timeout=10)
        stack.callback(nginx.terminate)
        wait_for(f"https://localhost:{port}/token", nginx)
        yield gateway, f"https://localhost:{port}", key


def test_a_token_that_is_verified_becomes_a_key_and_no_other_goes_on(tmp_path: Path) -> None:
    with (
        fronted(tmp_path) as (gateway, url, key),
        httpx.Client(base_url=url, verify=gateway.trust()) as front,
    ):
        assert front.get("/recall?user_id=u&k=2", headers=GOOD).status_code == 200
        assert front.put("/users/u", json={}, headers=GOOD).status_code == 403  # the key's scope
        for bad in ("Bearer another", f"Bearer {key}", ""):
            answer = front.get("/recall?user_id=u", headers={"authorization": bad})
            assert answer.status_code == 401
        assert front.get("/token", headers=GOOD).status_code == 404
        batch = b'{"requests": [{"user_id": "u"}]}' + b" " * (2 << 20)
        told = {"content-type": "application/json"} | GOOD
        assert front.post("/recall/batch", content=batch, headers=told).status_code == 200


def test_who_asks_too_much_behind_it_leaves_the_others_theirs(tmp_path: Path) -> None:
    with fronted(tmp_path, REQUESTS_PER_S="1", BURST="3") as (gateway, url, _):
        for address in ("127.0.0.2", "127.0.0.3"):
            transport = httpx.HTTPTransport(verify=gateway.trust(), local_address=address)
            said = {"x-forwarded-for": "10.0.0.1"} | GOOD  # what a client says of it is dropped
            with httpx.Client(base_url=url, transport=transport, headers=said) as front:
                asked = [front.get("/recall?user_id=u").status_code for _ in range(7)]
            assert asked == [200] * 4 + [429] * 3
        clients = {line["client"] for line in gateway.lines()}
        assert clients == {"127.0.0.2", "127.0.0.3"}


def test_who_floods_it_is_stopped_before_the_verifier(tmp_path: Path) -> None:
    bad = {"authorization": "Bearer another"}
    with (
        fronted(tmp_path) as (gateway, url, _),
        httpx.Client(base_url=url, verify=gateway.trust(), headers=bad) as front,
    ):
        asked = [front.get("/recall?user_id=u").status_code for _ in range(300)]
        assert set(asked) == {401, 429}
        assert set(asked[:101]) == {401}
