"""SIGTERM under load: readiness goes first, nothing in flight fails, and the exit is in time."""

import contextlib
import http.client
import json
import threading
import time
from pathlib import Path

from benchmarks.soak.replicas import lines
from tests.end_to_end.processes import Served
from tests.tiny import tiny_bundle

CLIENTS = 8
PAUSE_S = 0.02
READINESS_OFF_S = 1.5
GRACE_S = 20


class Client(threading.Thread):
    """Recalls and posts in a closed loop; as a gateway it connects only while readiness is on."""

    def __init__(self, served: Served, number: int, is_off: threading.Event) -> None:
        super().__init__(daemon=True)
        self._is_off = is_off
        self._served = served
        self._number = number
        self.answered: list[int] = []
        self.posted: list[str] = []
        self.failed: list[str] = []

    def run(self) -> None:
        line = http.client.HTTPConnection("127.0.0.1", self._served.port, timeout=20)
        for turn in range(100_000):
            time.sleep(PAUSE_S)
            if line.sock is None and self._is_off.is_set():
                return
            one = f"c{self._number}-{turn}"
            path, body = ("/recall", {}) if turn % 2 else ("/items", {"id": one, "topics": ["art"]})
            try:
                line.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
                answer = line.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(f"{turn}: {error!r}")
                line.close()
                continue
            self.answered.append(answer.status)
            if path == "/items":
                self.posted.append(one)


def test_nothing_fails_while_a_service_leaves_under_load(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundles")
    how = {"readiness_off_s": READINESS_OFF_S, "grace_s": GRACE_S, "linger_s": 1}
    served = Served(tmp_path / "data", bundle, "--workers", "2", **how)
    is_off = threading.Event()
    clients = [Client(served, number, is_off) for number in range(CLIENTS)]
    try:
        for client in clients:
            client.start()
        while sum(len(client.answered) for client in clients) < 200:
            time.sleep(0.01)
        served.process.terminate()
        told: list[tuple[int, str]] = []
        with contextlib.suppress(OSError, http.client.HTTPException):
            while (503, "draining") not in told:
                status, answer = served.ask("GET", "/readyz")
                told.append((status, answer["state"]))
        assert (503, "draining") in told
        is_off.set()
        during = sum(len(client.answered) for client in clients)
        for client in clients:
            client.join(60)
            assert not client.is_alive()
        assert served.process.wait(GRACE_S) == 0
    finally:
        served.kill()
    assert sum(len(client.answered) for client in clients) > during  # it served on, readiness off
    assert [fault for client in clients for fault in client.failed] == []
    assert {status for client in clients for status in client.answered} <= {200, 201}
    again = Served(tmp_path / "data", bundle)
    try:
        posted = [one for client in clients for one in client.posted]
        assert len(posted) > 100
        with lines(again) as [line]:
            assert [one for one in posted if line.ask("GET", f"/items/{one}")[0] != 200] == []
    finally:
        again.kill()
