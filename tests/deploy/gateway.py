"""The gateway as a user of no rights runs it: its configuration, before real replicas."""

import contextlib
import json
import os
import re
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import trustme

from tests.deploy.dockerfile import ROOT
from tests.deploy.names import REPLICAS, Names
from tests.end_to_end.processes import free_port

CONFIG = ROOT / "deploy" / "gateway" / "haproxy.cfg"
HAPROXY = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
NOBODY = 65534 if os.geteuid() == 0 else None
READY_S = 20


def is_open(path: str) -> bool:
    """Whether our configuration knows a route of that path, and so lets it through."""
    routes = re.findall(r"set-var\(txn\.route\) \S+ if \{ (\w+) (.*) \}", CONFIG.read_text("utf-8"))
    assert routes
    return any(
        re.search(values, path) if kind == "path_reg" else path in values.split()
        for kind, values in routes
    )


class Gateway:
    """HAProxy with our configuration on two ports of the loopback.

    Args:
        ports: Of the replicas, whose names are asked for; `names.ports` may be changed.
        config: In place of ours.
        ready: So many replicas have to be ready before it is used; all, unless told otherwise.
        files: Variables, without `GATEWAY_`, that name a file, and what is in it.
        told: Others, over the usual ones.

    """

    def __init__(
        self,
        ports: list[int],
        config: str = "",
        ready: int | None = None,
        files: Mapping[str, str] = MappingProxyType({}),
        **told: str,
    ) -> None:
        self._stack = contextlib.ExitStack()
        folder = tempfile.TemporaryDirectory(prefix="firstsight-gateway-")
        self.folder = Path(self._stack.enter_context(folder))
        self.port, self.plain_port, self.metrics_port = free_port(), free_port(), free_port()
        self.url = f"https://localhost:{self.port}"
        self.names = Names(ports)
        self._stack.callback(self.names.stop)
        self.config = self.folder / "haproxy.cfg"
        self.config.write_text(config or CONFIG.read_text("utf-8"), "utf-8")
        authority = trustme.CA()
        self.authority = self.folder / "authority.pem"
        authority.cert_pem.write_to_path(self.authority)
        certificate = authority.issue_cert("localhost")
        for part in certificate.cert_chain_pems:
            part.write_to_path(self.folder / "certificate.pem", append=True)
        certificate.private_key_pem.write_to_path(self.folder / "certificate.pem.key")
        for name, text in files.items():
            path = self.folder / name.lower()
            path.write_text(text, "utf-8")
            told[name] = str(path)
        self.told = self.values() | {f"GATEWAY_{name}": text for name, text in told.items()}
        self.log, self.errors = self.folder / "access.log", self.folder / "error.log"
        for path in (self.log, self.errors):
            path.touch()
        for path in (self.folder, *self.folder.iterdir()):
            if NOBODY:
                os.chown(path, NOBODY, NOBODY)
        self.process = self._start()
        try:
            self.wait_for(len(ports) if ready is None else ready)
        except BaseException:
            self.stop()
            raise

    def values(self) -> dict[str, str]:
        """Return what the configuration asks for, with limits that no test comes near."""
        told = {
            "DNS": self.names.address,
            "HTTP": f"127.0.0.1:{self.plain_port}",
            "HTTPS": f"127.0.0.1:{self.port}",
            "METRICS": f"127.0.0.1:{self.metrics_port}",
            "ORIGIN": f"https://localhost:{self.port}",
            "CERTIFICATE": str(self.folder / "certificate.pem"),
            "REPLICAS": REPLICAS,
            "REQUESTS_PER_S": "10000",
            "CONNECTIONS": "256",
        }
        return {f"GATEWAY_{name}": text for name, text in told.items()}

    def _start(self) -> "subprocess.Popen[bytes]":
        assert HAPROXY is not None
        environ = {k: v for k, v in os.environ.items() if not k.startswith("GATEWAY_")}
        with self.log.open("ab") as log, self.errors.open("ab") as errors:
            return subprocess.Popen(
                [HAPROXY, "-db", "-f", self.config],
                env=environ | self.told,
                stdout=log,
                stderr=errors,
                user=NOBODY,
                group=NOBODY,
                extra_groups=None if NOBODY is None else [],
            )

    @property
    def ready(self) -> set[int]:
        """How many replicas it calls ready: for reads and for writes, which it asks apart."""
        told = httpx.get(f"http://127.0.0.1:{self.plain_port}/readyz").json()
        return set(told.get("replicas", {"all": 0}).values())

    def wait_for(self, *replicas: int) -> None:
        """Wait until so many are ready, no more and no fewer, or so many for reads and writes."""
        until = time.monotonic() + READY_S
        while time.monotonic() < until and self.process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if self.ready == {*replicas}:
                    return
            time.sleep(0.02)
        raise AssertionError(self.errors.read_text())

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

    def wait_for_lines(self) -> list[dict[str, Any]]:
        """Return the access log, once there is a line, which is written just after an answer."""
        until = time.monotonic() + 5
        while not (lines := self.lines()):
            assert time.monotonic() < until
            time.sleep(0.01)
        return lines

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
        """End HAProxy by its process id, and remove what it wrote."""
        self.process.terminate()
        self.process.wait(timeout=10)
        self._stack.close()
