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
from tests.deploy.gateway import NGINX, Gateway
from tests.end_to_end.processes import Served, free_port
from tests.tiny import tiny_bundle

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

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


def shown(**told: str) -> str:
    """Return the server of the page, with other ports, files and key."""
    page = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    [server] = re.findall(r"```nginx\n(.*?)```", page, re.S)
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
    return str(server)


def wait_for(url: str, nginx: "subprocess.Popen[bytes]") -> None:
    until_s = time.monotonic() + 10
    while time.monotonic() < until_s and nginx.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(url, verify=False)
            return
        time.sleep(0.02)
    raise AssertionError(nginx.poll())


def test_a_token_that_is_verified_becomes_a_key_and_no_other_goes_on(tmp_path: Path) -> None:
    assert NGINX is not None
    key, line = new_key("front", "recall")
    (tmp_path / "keys").write_text(line)
    bundle = tiny_bundle(tmp_path / "bundles")
    with contextlib.ExitStack() as stack:
        served = Served(tmp_path / "data", bundle, keys_file=tmp_path / "keys")
        stack.callback(served.kill)
        gateway = Gateway([served.port])
        stack.callback(gateway.stop)
        port = free_port()
        config = tmp_path / "nginx.conf"
        server = shown(
            port=f"127.0.0.1:{port}",
            certificate=str(gateway.folder / "certificate.pem"),
            private=str(gateway.folder / "key.pem"),
            verifier=f"127.0.0.1:{stack.enter_context(verifier())}",
            gateway=f"127.0.0.1:{gateway.port}",
            key=key,
        )
        config.write_text(AROUND.format(folder=tmp_path, server=server))
        words = [NGINX, "-e", "stderr", "-p", str(tmp_path), "-c", str(config)]
        nginx = subprocess.Popen([*words, "-g", "daemon off;"])
        stack.callback(nginx.wait, timeout=10)
        stack.callback(nginx.terminate)
        wait_for(f"https://localhost:{port}/token", nginx)
        front = httpx.Client(base_url=f"https://localhost:{port}", verify=gateway.trust())
        stack.callback(front.close)
        good = {"authorization": "Bearer a.good.token"}
        assert front.get("/recall?user_id=u&k=2", headers=good).status_code == 200
        assert front.put("/users/u", json={}, headers=good).status_code == 403  # the key's scope
        for bad in ("Bearer another", f"Bearer {key}", ""):
            answer = front.get("/recall?user_id=u", headers={"authorization": bad})
            assert answer.status_code == 401
        assert front.get("/token", headers=good).status_code == 404
