"""Ten times as much is asked as can be answered: the capacity goes on being used."""

import contextlib
import http.client
import json
import threading
import time
from collections import Counter
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from benchmarks.soak.catalogue import DIM, FEATURE
from benchmarks.soak.ledger import Ledger
from benchmarks.soak.replicas import workers
from benchmarks.soak.scenario import Figures, Say, Scenario
from benchmarks.soak.usage import pause_until
from tests.end_to_end.processes import Served

BATCH, K = 64, 100
IN_A_ROW = 20
PROBE_S = 0.05
TIMEOUT_S = 60.0
LINGER_S = 20
"""Connections that ask seldom stay open."""
BROKEN = 0
"""Stands for the status of a request that was not answered."""


class Overload(Scenario):
    """Ten times the capacity is asked for; what is answered, and how soon the rest is refused.

    The capacity is what fewer than `in_flight` clients get who ask again as soon as they are
    answered, for `seconds`, before and after; in between `times` as much is asked for as long, on
    ten connections for each request that may be in work. At least `goodput` of the capacity has to
    be answered, counted in answers per second of the worker's CPU, for others may want the machine
    too. All else is refused, each probe answered, and nobody refused `recovery_s` after the end.
    """

    name = "overload"
    small: ClassVar = {"items": 500, "seconds": 1.0, "goodput": 0.0, "recovery_s": 60.0}
    workers: int = 1
    seconds: float = 20.0
    in_flight: int = 8
    times: float = 10.0
    goodput: float = 0.9
    recovery_s: float = 5.0

    def run(self, folder: Path, ledger: Ledger, say: Say) -> Figures:
        """Measure the capacity, ask for more, and see it end."""
        bundle, _ = self.bundle(folder)
        settings = {"limits__in_flight": self.in_flight, "linger_s": LINGER_S}
        with self.served(folder, bundle, **settings) as served:
            alone = self._alone(served)
            capacity = alone.answered[200] / self.seconds
            say(f"capacity: {capacity:.1f} batches of {BATCH} recalls a second")
            many = 10 * self.in_flight
            rate = self.times * capacity / many
            with Probes(served) as probes, Askers(served, many, rate, self.seed) as crowd:
                time.sleep(self.seconds)
            recovered_s = self._recovered_s(served)
            after = self._alone(served)
        usual = (alone.answered[200] + after.answered[200]) / (alone.cpu_s + after.cpu_s)
        goodput = crowd.answered[200] / crowd.cpu_s / usual
        self._judge(ledger, alone.answered + after.answered, crowd, probes, goodput, recovered_s)
        refused = np.array(crowd.refused_s or [0.0]) * 1000
        return {
            "capacity (batches/s)": round(capacity, 1),
            "asked (batches/s)": round(sum(crowd.answered.values()) / self.seconds, 1),
            "answered, of the capacity": round(goodput, 3),
            "answered (batches/s)": round(crowd.answered[200] / self.seconds, 1),
            "refused within p50, p99 (ms)": np.quantile(refused, (0.5, 0.99)).round(1).tolist(),
            "probes": len(probes.seconds),
            "longest probe (ms)": round(1000 * max(probes.seconds), 1),
            "nobody refused after (s)": round(recovered_s, 2),
        }

    def _alone(self, served: Served) -> "Askers":
        """Return clients that were as many as may be in work, but for one."""
        with Askers(served, self.in_flight - 1, None, self.seed) as alone:
            time.sleep(self.seconds)
        return alone

    def _judge(
        self,
        ledger: Ledger,
        alone: Counter[int],
        crowd: "Askers",
        probes: "Probes",
        goodput: float,
        recovered_s: float,
    ) -> None:
        if alone.keys() != {200}:
            ledger.fault(f"within the capacity: {dict(alone)}")
        if crowd.answered.keys() != {200, 503}:
            ledger.fault(f"over the capacity: {dict(crowd.answered)}, expected 200 and 503")
        if probes.failed:
            ledger.fault(f"probes: {probes.failed[:5]}")
        if goodput < self.goodput:
            ledger.fault(f"{goodput:.2f} of the capacity was answered, expected {self.goodput}")
        if recovered_s > self.recovery_s:
            ledger.fault(f"somebody was refused {recovered_s:.1f} s after the end")

    @staticmethod
    def _recovered_s(served: Served) -> float:
        """Return how long after the end the last of some requests in a row was answered."""
        begun_s, good = time.monotonic(), 0
        while good < IN_A_ROW and time.monotonic() - begun_s < TIMEOUT_S:
            good = good + 1 if served.ask("POST", "/recall", {"k": 1})[0] == 200 else 0
        return time.monotonic() - begun_s


class Askers:
    """Clients that ask for batches of recalls while the block runs: `rate` times a second each.

    Without a rate each asks again as soon as it is answered.
    """

    def __init__(self, served: Served, count: int, rate: float | None, seed: int) -> None:
        self._served = served
        self._port = served.port
        self._period_s = 0.0 if rate is None else 1 / rate
        self._ends = threading.Event()
        self._lock = threading.Lock()
        self.cpu_s = 0.0
        self.answered: Counter[int] = Counter()
        self.refused_s: list[float] = []
        places = np.random.default_rng(seed).standard_normal((BATCH, DIM)).round(4)
        requests = [{"user": {FEATURE: place.tolist()}, "k": K} for place in places]
        self._body = json.dumps({"requests": requests})
        self._threads = [
            threading.Thread(target=self._run, args=(number / count,), daemon=True)
            for number in range(count)
        ]

    def _run(self, phase: float) -> None:
        line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
        due_s = time.monotonic() + phase * self._period_s
        while not self._ends.is_set():
            pause_until(due_s)
            due_s = max(due_s + self._period_s, time.monotonic() - self._period_s)
            sent_s = time.monotonic()
            status = self._ask(line)
            with self._lock:
                self.answered[status] += not self._ends.is_set()
                if status == 503:
                    self.refused_s.append(time.monotonic() - sent_s)
        line.close()

    def _ask(self, line: http.client.HTTPConnection) -> int:
        headers = {"Content-Type": "application/json"}
        try:
            line.request("POST", "/recall/batch", self._body, headers)
            answer = line.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            line.close()
            return BROKEN
        return answer.status

    def __enter__(self) -> Self:
        self._begun_s = self._cpu_s()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.cpu_s = self._cpu_s() - self._begun_s
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def _cpu_s(self) -> float:
        """Return the CPU seconds that the worker has taken; other work on the machine adds none."""
        [worker] = workers(self._served)
        return float(sum(worker.cpu_times()[:2]))


class Probes(threading.Thread):
    """Asks both probes again and again while the block runs."""

    def __init__(self, served: Served) -> None:
        super().__init__(daemon=True)
        self._served = served
        self._ends = threading.Event()
        self.seconds: list[float] = []
        self.failed: list[str] = []

    def run(self) -> None:
        """Ask until told to end."""
        while not self._ends.wait(PROBE_S):
            for path in ("/livez", "/readyz"):
                sent_s = time.monotonic()
                status: object = "no answer"
                with contextlib.suppress(OSError, http.client.HTTPException):
                    status = self._served.ask("GET", path)[0]
                self.seconds.append(time.monotonic() - sent_s)
                if status != 200:
                    self.failed.append(f"{path}: {status}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.set()
        self.join()
