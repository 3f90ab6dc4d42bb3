"""The processes of a running service, and a line to each of its workers."""

import contextlib
import http.client
import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil

from tests.end_to_end.processes import Served

LINE_TIMEOUT_S = 30.0


def redis_process(served: Served) -> psutil.Process:
    """Return the embedded Redis; LookupError while there is none."""
    for process in served.family():
        with contextlib.suppress(psutil.NoSuchProcess):
            if "redis-server" in process.name():
                return process
    raise LookupError("no embedded redis-server")


def redis_url(served: Served) -> str:
    """Return the URL of the embedded Redis."""
    for connection in redis_process(served).net_connections(kind="unix"):
        if connection.laddr:
            return f"unix://{connection.laddr}"
    raise LookupError("the embedded redis-server listens nowhere")


class Line:
    """A connection to one worker; it is not opened again when that worker ends it."""

    def __init__(self, served: Served) -> None:
        self._line = http.client.HTTPConnection("127.0.0.1", served.port, timeout=LINE_TIMEOUT_S)
        self._line.connect()
        self._line.auto_open = 0

    @property
    def port(self) -> int:
        """This end's port."""
        port: int = self._line.sock.getsockname()[1]
        return port

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return status and parsed body; OSError or HTTPException where the worker is gone."""
        headers = {} if body is None else {"Content-Type": "application/json"}
        self._line.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self._line.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None

    def close(self) -> None:
        """Close it."""
        self._line.close()


def line_to(served: Served, worker: psutil.Process) -> Line:
    """Return a line to a worker: while it is opened all others are stopped (SIGSTOP)."""
    with _others_stopped(served, worker):
        line = Line(served)
        line.ask("GET", "/livez")
    return line


@contextlib.contextmanager
def lines(served: Served) -> Iterator[list[Line]]:
    """Give a line to each worker, which ends one that is idle for as long as it lingers."""
    with contextlib.ExitStack() as stack:
        made = []
        for one in served.workers():
            made.append(line_to(served, one))
            stack.callback(made[-1].close)
        yield made


@contextlib.contextmanager
def _others_stopped(served: Served, one: psutil.Process) -> Iterator[None]:
    others = [other for other in served.workers() if other != one]
    try:
        for other in others:
            _signal(other, signal.SIGSTOP)
        for other in others:  # stopped indeed, and not about to accept once more
            _wait_stopped(other)
        yield
    finally:
        for other in others:
            _signal(other, signal.SIGCONT)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _wait_stopped(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess, TimeoutError):
        eventually(
            lambda: process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE), 5.0, "stop"
        )


def eventually(claim: Callable[[], object], within_s: float, what: str) -> float:
    """Wait until something is true; return how long that took (s).

    Raises:
        TimeoutError: It did not come true.

    """
    begun_s = time.monotonic()
    while not claim():
        if time.monotonic() - begun_s > within_s:
            raise TimeoutError(f"within {within_s:g} s: {what}")
        time.sleep(0.02)
    return time.monotonic() - begun_s


def told_durability(served: Served, expected: str, within_s: float = 60.0) -> str:
    """Return the durability that `/readyz` tells, once it is the expected one.

    Redis is looked at each second, so a service that has just begun tells none.

    Raises:
        TimeoutError: It does not come to that.

    """
    told = f"durability is told as {expected}"
    eventually(lambda: served.ask("GET", "/readyz")[1]["durability"] == expected, within_s, told)
    return expected


def metric(served: Served, name: str, labels: str = "") -> float:
    """Return the value of a metric, 0 where it is not told; `labels` as in `{was="read"}`."""
    line = http.client.HTTPConnection("127.0.0.1", served.port, timeout=LINE_TIMEOUT_S)
    try:
        line.request("GET", "/metrics")
        text = line.getresponse().read().decode()
    finally:
        line.close()
    found = re.search(rf"^{re.escape(name + labels)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0
