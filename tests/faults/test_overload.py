"""Far more is asked than can be in work: some is answered, the rest refused, and probes go on."""

import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.processes import Served
from tests.tiny import tiny_bundle

IN_FLIGHT = 4
CLIENTS = 40  # ten for each that may be in work
TURNS = 25
BATCH = {"requests": [{"user": {"age": 30 + n}, "k": 40} for n in range(64)]}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    bundle = tiny_bundle(tmp_path / "bundles")
    served = Served(tmp_path / "data", bundle, limits__in_flight=IN_FLIGHT)
    yield served
    served.kill()


class Asked:
    """What many clients were told, each in a closed loop on a connection of its own."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self.statuses: Counter[int] = Counter()
        self.without_retry_after = 0
        self.broken: list[str] = []
        self._lock = threading.Lock()

    def run(self) -> None:
        line = http.client.HTTPConnection("127.0.0.1", self._served.port, timeout=60)
        for _ in range(TURNS):
            line.request(
                "POST", "/recall/batch", json.dumps(BATCH), {"Content-Type": "application/json"}
            )
            answer = line.getresponse()
            body = json.loads(answer.read())
            with self._lock:
                self.statuses[answer.status] += 1
                if answer.status == 503:
                    self.without_retry_after += "Retry-After" not in answer.headers
                elif {one["status"] for one in body["results"]} != {200}:
                    self.broken.append(str(body)[:200])
        line.close()


def test_ten_times_what_may_be_in_work_is_answered_or_refused_and_probes_go_on(
    served: Served,
) -> None:
    asked = Asked(served)
    clients = [threading.Thread(target=asked.run, daemon=True) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    probed: Counter[tuple[str, int]] = Counter()
    while any(client.is_alive() for client in clients):
        for path in ("/livez", "/readyz"):
            probed[path, served.ask("GET", path)[0]] += 1
    for client in clients:
        client.join()
    assert asked.statuses.keys() == {200, 503}, asked.statuses
    assert sum(asked.statuses.values()) == CLIENTS * TURNS
    assert asked.statuses[200] >= TURNS  # what is answered is answered whole
    assert (asked.broken, asked.without_retry_after) == ([], 0)
    assert probed.keys() == {("/livez", 200), ("/readyz", 200)}
    for _ in range(20):  # and once they are gone nobody is refused
        assert served.ask("POST", "/recall/batch", BATCH)[0] == 200
