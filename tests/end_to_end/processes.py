"""Real services in processes of their own, over real HTTP and a real Redis."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.tiny import tiny_bundle

START_S = 60.0


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Served:
    """`firstsight serve` as a user runs it; ended by process id, whatever happened.

    On a free port, unless a setting says which: one that is started again has its old address.
    """

    program = "firstsight"

    def __init__(self, folder: Path, bundle: Path, *options: str, **settings: object) -> None:
        given = settings.get("port")
        self.port = given if isinstance(given, int) else free_port()
        environ = {k: v for k, v in os.environ.items() if not k.startswith("FIRSTSIGHT_")}
        environ |= {
            "FIRSTSIGHT_BUNDLES": str(bundle.parent),
            "FIRSTSIGHT_DATA_FOLDER": str(folder),
            "FIRSTSIGHT_LINGER_S": "0.2",
        }
        environ |= {f"FIRSTSIGHT_{name.upper()}": str(value) for name, value in settings.items()}
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "serve.log"
        words = ["serve", "--bundle", str(bundle), "--port", str(self.port), *options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.program, *words], stderr=log, stdout=log, env=environ
            )
        try:
            self.wait_ready()
        except BaseException:
            self.kill()
            raise

    def wait_ready(self) -> None:
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise AssertionError(f"exit {self.process.returncode}: {self.log.read_text()}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.ask("GET", "/readyz")[0] == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"not ready in time: {self.log.read_text()}")

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return status and parsed body of one request over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            headers = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        finally:
            connection.close()

    def read(self, path: str) -> str:
        """Return the text of a page."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == 200
            return answer.read().decode()
        finally:
            connection.close()

    def family(self) -> list[psutil.Process]:
        """Return the supervisor and everything it started."""
        try:
            top = psutil.Process(self.process.pid)
            return [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def workers(self) -> list[psutil.Process]:
        """Return the processes that loaders forked, those that drain too."""
        found = []
        for loader in loaders_of(self.process.pid):
            with contextlib.suppress(psutil.NoSuchProcess):  # it was replaced meanwhile
                found += loader.children()
        return found

    def kill(self) -> None:
        """Kill -9 the supervisor, its Redis, loader and workers, all at once."""
        family = self.family()
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        self.process.wait(timeout=20)
        psutil.wait_procs(family, timeout=20)

    def stop(self) -> int:
        """Ask it to leave, and return its exit code."""
        self.process.terminate()
        return self.process.wait(timeout=30)


def loaders_of(supervisor: int) -> list[psutil.Process]:
    """Return what a supervisor's fork server has forked."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(supervisor).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if "redis" not in child.name():
                    found += child.children()
    return found


def recalled(served: Served, item: str, **options: object) -> bool:
    """Say whether a recall that is wide enough for the whole catalogue holds an item."""
    body = {"user": {"taste": {"art": 1.0}}, "k": 1000, **options}
    status, answer = served.ask("POST", "/recall", body)
    assert status == 200, answer
    return item in answer["items"]


@contextlib.contextmanager
def serve_pair(folder: Path) -> Iterator[tuple[Served, Served]]:
    """Serve the tiny bundle with the embedded Redis, and again with that Redis by its URL."""
    bundle = tiny_bundle(folder / "bundles")
    first = Served(folder / "first", bundle)
    try:
        second = Served(folder / "second", bundle, "--redis", redis_url(first))
        try:
            yield first, second
        finally:
            second.kill()
    finally:
        first.kill()


def redis_url(served: Served) -> str:
    """Return the URL of a service's embedded Redis."""
    for process in served.family():
        for connection in process.net_connections(kind="unix"):
            if "redis-server" in process.name() and connection.laddr:
                return f"unix://{connection.laddr}"
    raise AssertionError("no embedded redis-server")
