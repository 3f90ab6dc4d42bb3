"""The services that are measured, each in processes of its own."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import psutil

from benchmarks.recall_http.load import K
from tests.end_to_end.processes import Served, free_port

READY_S, DELTA_S, ENDS_S = 300.0, 20.0, 20.0
AT_ONCE = 250  # items posted
JSON = {"Content-Type": "application/json"}
RECALL = f"/recall?user_id=u0&k={K}"
DELTA = re.compile(rb'^firstsight_index_items\{part="delta".*\} (\S+)$', re.MULTILINE)


@dataclass(frozen=True)
class Service:
    """Where a service listens, and its topmost process."""

    port: int
    top: int

    @property
    def processes(self) -> tuple[int, ...]:
        """All its processes: supervisors, loaders, workers."""
        top = psutil.Process(self.top)
        return (top.pid, *(one.pid for one in top.children(recursive=True)))

    def get(self, path: str, posted: bytes | None = None) -> bytes:
        """Return the body of an answer, to a GET or to what is posted as JSON.

        Raises:
            OSError: There is none with status 200.

        """
        asked = Request(f"http://127.0.0.1:{self.port}{path}", posted, JSON)
        with urlopen(asked, timeout=READY_S) as answer:
            body: bytes = answer.read()
            return body

    def recall(self, user: str) -> list[str]:
        """Return the items recalled for a user, from whichever form of an answer."""
        items = json.loads(self.get(f"/recall?user_id={user}&k={K}"))["items"]
        return [one if isinstance(one, str) else one["id"] for one in items]

    def wait_for_delta(self, rows: int) -> None:
        """Wait until the metrics of ours tell of so many posted rows beside the index.

        Raises:
            TimeoutError: They tell of another number.

        """
        until_s = time.monotonic() + DELTA_S
        while (found := DELTA.search(self.get("/metrics"))) is None or float(found[1]) != rows:
            if time.monotonic() > until_s:
                raise TimeoutError(f"the delta has {found and found[1]!r} rows, expected {rows}")
            time.sleep(0.1)


@contextlib.contextmanager
def serve_ours(
    folder: Path, bundle: Path, redis: str, posted: list[dict[str, object]], workers: int
) -> Iterator[Service]:
    """Serve a bundle by the real command, with its defaults, and post items to it."""
    served = Served(folder, bundle, "--workers", str(workers), redis=redis, linger_s=5)
    try:
        service = Service(served.port, served.process.pid)
        post(service, posted)
        yield service
    finally:
        served.kill()


@contextlib.contextmanager
def serve_rival(
    module: str, workers: int, environment: Mapping[str, str], log: Path
) -> Iterator[Service]:
    """Serve a module's application by uvicorn, from when it answers a recall.

    Raises:
        TimeoutError: It does not answer, or ended; has its last words.

    """
    port = free_port()
    words = ["-m", "uvicorn", f"{module}:create_app", "--factory"]
    words += ["--port", str(port), "--workers", str(workers), "--no-access-log"]
    words += ["--loop", "uvloop", "--http", "httptools", "--log-level", "warning"]
    environ = os.environ | environment
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, *words], env=environ, stdout=file, stderr=file)
    try:
        service = Service(port, process.pid)
        wait_ready(service, process, log, RECALL)
        yield service
    finally:
        end(process)


def post(service: Service, items: list[dict[str, object]]) -> None:
    """Post items to ours.

    Raises:
        OSError: One of them is not taken.

    """
    for start in range(0, len(items), AT_ONCE):
        body = json.dumps({"items": items[start : start + AT_ONCE]}).encode()
        told = json.loads(service.get("/items?vector=false", body))
        if any(one["status"] > 201 for one in told["results"]):
            raise OSError(f"items are not posted: {str(told)[:400]}")


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and what it has started, whatever state they are in."""
    family: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(ENDS_S)
    process.kill()
    process.wait()
    for one in psutil.wait_procs(family, timeout=1.0)[1]:
        one.kill()


def wait_ready(service: Service, process: "subprocess.Popen[bytes]", log: Path, path: str) -> None:
    """Wait until a path is answered with 200.

    Raises:
        TimeoutError: It is not, or the process ended; has its last words.

    """
    until_s = time.monotonic() + READY_S
    while time.monotonic() < until_s and process.poll() is None:
        with contextlib.suppress(OSError):
            service.get(path)
            return
        time.sleep(0.05)
    raise TimeoutError(f"{log}: not ready: {log.read_text()[-2000:]}")
