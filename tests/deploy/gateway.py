"""The gateway as a user of no rights runs it: the template, filled in, before real replicas."""

import contextlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import trustme

from tests.deploy.dockerfile import ROOT
from tests.end_to_end.processes import free_port

TEMPLATE = ROOT / "deploy" / "gateway" / "nginx.conf.template"
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
NOBODY = 65534 if os.geteuid() == 0 else None


def fill(template: str, told: dict[str, str]) -> str:
    """Do what envsubst does in the nginx image with NGINX_ENVSUBST_FILTER=^GATEWAY_."""
    return re.sub(r"\$\{(GATEWAY_\w+)\}", lambda found: told[found[1]], template)


def values(folder: Path, port: int, plain_port: int, replicas: list[int]) -> dict[str, str]:
    """Return what the template asks for, on the loopback, with limits that no test comes near."""
    servers = (f"server 127.0.0.1:{one} max_fails=0;" for one in replicas)
    told = {
        "FOLDER": str(folder),
        "HTTP": f"127.0.0.1:{plain_port}",
        "HTTPS": f"127.0.0.1:{port}",
        "ORIGIN": f"https://localhost:{port}",
        "CERTIFICATE": str(folder / "certificate.pem"),
        "KEY": str(folder / "key.pem"),
        "REPLICAS": " ".join(servers),
        "REQUESTS_PER_S": "10000",
        "BURST": "1000",
        "CONNECTIONS": "256",
    }
    return {f"GATEWAY_{name}": text for name, text in told.items()}


class Gateway:
    """nginx with our template on two ports of the loopback; `told` is over the usual values."""

    def __init__(self, replicas: list[int], template: str = "", **told: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="firstsight-gateway-")
        self.folder = Path(self._folder.name)
        self.port, self.plain_port = free_port(), free_port()
        self.url = f"https://localhost:{self.port}"
        authority = trustme.CA()
        certificate = authority.issue_cert("localhost")
        certificate.private_key_pem.write_to_path(self.folder / "key.pem")
        for part in certificate.cert_chain_pems:
            part.write_to_path(self.folder / "certificate.pem", append=True)
        self.authority = self.folder / "authority.pem"
        authority.cert_pem.write_to_path(self.authority)
        usual = values(self.folder, self.port, self.plain_port, replicas)
        told = usual | {f"GATEWAY_{name}": text for name, text in told.items()}
        self.config = self.folder / "nginx.conf"
        self.config.write_text(fill(template or TEMPLATE.read_text("utf-8"), told))
        self.log, self.errors = self.folder / "access.log", self.folder / "error.log"
        for path in (self.log, self.errors):
            path.touch()
        for path in (self.folder, *self.folder.iterdir()):
            if NOBODY:
                os.chown(path, NOBODY, NOBODY)
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        assert NGINX is not None
        with self.log.open("ab") as log, self.errors.open("ab") as errors:
            process = subprocess.Popen(
                [NGINX, "-e", "stderr", "-p", self.folder, "-c", self.config, "-g", "daemon off;"],
                stdout=log,
                stderr=errors,
                user=NOBODY,
                group=NOBODY,
                extra_groups=None if NOBODY is None else [],
            )
        until = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return process
            if process.poll() is not None or time.monotonic() > until:
                process.kill()
                raise AssertionError(self.errors.read_text())
            time.sleep(0.02)

    def trust(self) -> ssl.SSLContext:
        """Return a context that trusts the gateway; a new one, for clients write into theirs."""
        return ssl.create_default_context(cafile=self.authority)

    def client(self, **options: Any) -> httpx.Client:
        """Return a client that trusts the gateway, with HTTP/2."""
        return httpx.Client(
            base_url=self.url, verify=self.trust(), http2=True, timeout=20, **options
        )

    def lines(self) -> list[dict[str, Any]]:
        """Return the access log."""
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]

    def line(self, request_id: str) -> dict[str, Any]:
        """Return the line of a request, which is written just after its answer."""
        until = time.monotonic() + 5
        while time.monotonic() < until:
            for line in self.lines():
                if line["request_id"] == request_id:
                    return line
            time.sleep(0.01)
        raise AssertionError(f"no line of {request_id}")

    def stop(self) -> None:
        """End nginx by its process id, and remove what it wrote."""
        self.process.terminate()
        self.process.wait(timeout=10)
        self._folder.cleanup()
