"""Ten times as much is asked as can be answered: the capacity goes on being used."""

import contextlib
import http.client
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import numpy as np

from benchmarks.cpu import cpu_s
from benchmarks.soak.askers import BATCH, REFUSED, Asked, Askers, Plan, batch_request
from benchmarks.soak.ledger import Ledger
from benchmarks.soak.scenario import Figures, Say, Scenario
from tests.end_to_end.processes import Served

IN_A_ROW = 20
PROBE_S = 0.05
TIMEOUT_S = 60.0
LINGER_S = 20
"""Connections that ask seldom stay open."""
REFUSALS = 1000
"""Asked for in a row of a worker that does nothing else."""
UNENDED = b"POST /recall HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{"
"""A request that is in work, and takes no time, until its client leaves."""


class Round(NamedTuple):
    """What was answered within the capacity, then over it."""

    alone: Asked
    crowd: Asked

    @property
    def goodput(self) -> float:
        """What was answered over the capacity, of the capacity: per second of the worker's CPU."""
        alone = max(self.alone.answered, 1) / self.alone.cpu_s
        return self.crowd.answered / self.crowd.cpu_s / alone


class Overload(Scenario):
    """Ten times the capacity is asked for; what is answered, and how soon the rest is refused.

    The capacity is what fewer than `in_flight` clients get who ask again as soon as they are
    answered, for `seconds`; then `times` as much is asked for as long, on ten connections for each
    request that may be in work. Of the `rounds` of both, the median has to answer `goodput` of the
    capacity, counted in answers per second of the worker's CPU: others want the machine too, the
    clients among them. And so much has to be left by what a refusal costs by itself, which a crowd
    on the machine blurs less. Each probe is answered, nobody refused `recovery_s` after the end.
    """

    name = "overload"
    small: ClassVar = {
        "items": 500,
        "seconds": 1.0,
        "rounds": 1,
        "goodput": 0.0,
        "recovery_s": 60.0,
    }
    workers: int = 1
    seconds: float = 3.0
    rounds: int = 9
    in_flight: int = 8
    times: float = 10.0
    goodput: float = 0.9
    recovery_s: float = 5.0

    def run(self, folder: Path, ledger: Ledger, say: Say) -> Figures:
        """Measure the capacity, ask for more, see it end, and what one refusal costs."""
        bundle, _ = self.bundle(folder)
        settings = {"limits__in_flight": self.in_flight, "linger_s": LINGER_S}
        with self.served(folder, bundle, **settings) as served, Probes(served) as probes:
            rounds, recovered_s = list[Round](), list[float]()
            for _ in range(self.rounds):
                rounds.append(self._round(served))
                recovered_s.append(_recovered_s(served))
                say(f"{rounds[-1].goodput:.2f} of the capacity was answered")
            probes.stop()
            refusal_s = self._refusal_s(served)
        told = figures_of(rounds, refusal_s, self.seconds, self.times)
        told |= {
            "probes": len(probes.seconds),
            "longest probe (ms)": round(1000 * max(probes.seconds), 1),
            "nobody refused after (s)": round(max(recovered_s), 2),
        }
        self.judge(ledger, rounds, probes, told)
        return told

    def _round(self, served: Served) -> Round:
        alone = self._asked(served, self.in_flight - 1, 0.0)
        rate = self.times * max(alone.answered, 1) / self.seconds
        return Round(alone, self._asked(served, 10 * self.in_flight, rate))

    def _asked(self, served: Served, clients: int, rate: float) -> Asked:
        [worker] = served.workers()
        plan = Plan(
            port=served.port,
            worker=worker.pid,
            clients=clients,
            rate=rate,
            seconds=self.seconds,
            seed=self.seed,
        )
        with Askers(plan) as askers:
            return askers.wait()

    def _refusal_s(self, served: Served) -> float:
        """Return the worker's CPU for one refusal, while as much as may be is in work and waits."""
        [worker] = served.workers()
        request = batch_request(self.seed)
        with contextlib.ExitStack() as lines:
            for _ in range(self.in_flight):
                lines.enter_context(_line(served)).sendall(UNENDED)
            line = lines.enter_context(_line(served))
            while _status(line, request) != REFUSED:
                time.sleep(PROBE_S)
            begun_s = cpu_s(worker.pid)
            for _ in range(REFUSALS):
                if _status(line, request) != REFUSED:
                    raise AssertionError("a request was taken although others wait in work")
            return (cpu_s(worker.pid) - begun_s) / REFUSALS

    def judge(
        self, ledger: Ledger, rounds: Sequence[Round], probes: "Probes", told: Figures
    ) -> None:
        """Note what is not as promised."""
        for expected, name in (({200}, "alone"), ({200, REFUSED}, "crowd")):
            statuses = sum((Counter(getattr(one, name).statuses) for one in rounds), Counter[int]())
            if statuses.keys() != expected:
                ledger.fault(f"{name}: {dict(statuses)}, expected {sorted(expected)}")
        if probes.failed:
            ledger.fault(f"probes: {probes.failed[:5]}")
        for name in ("answered, of the capacity", "the same by what a refusal costs"):
            if told[name] < self.goodput:
                ledger.fault(f"{name}: {told[name]}, expected at least {self.goodput}")
        recovered_s = told["nobody refused after (s)"]
        if recovered_s > self.recovery_s:
            ledger.fault(f"somebody was refused {recovered_s:.1f} s after the end")


def figures_of(rounds: Sequence[Round], refusal_s: float, seconds: float, times: float) -> Figures:
    """Return the medians of the rounds.

    A worker that answers a share g of its capacity, and refuses the rest of `times` of it, has
    g + (times - g) * cost = 1, with the cost of a refusal in answers.
    """
    crowds = [one.crowd for one in rounds]
    answer_s = sum(one.alone.cpu_s for one in rounds) / sum(one.alone.answered for one in rounds)
    refused = np.concatenate([one.refused_s for one in crowds]) * 1000
    by_worker = np.concatenate([one.refused_cpu_s for one in crowds]) * 1000
    goodputs, cost = sorted(one.goodput for one in rounds), refusal_s / answer_s

    def rate(of: Sequence[int]) -> float:
        return round(float(np.median(of)) / seconds, 1)

    return {
        f"capacity (batches of {BATCH}/s)": rate([one.alone.answered for one in rounds]),
        "asked (batches/s)": rate([sum(one.statuses.values()) for one in crowds]),
        "answered (batches/s)": rate([one.answered for one in crowds]),
        "answered, of the capacity": round(float(np.median(goodputs)), 3),
        "of it in the worst and the best round": [round(goodputs[at], 3) for at in (0, -1)],
        "an answer (ms of CPU)": round(1000 * answer_s, 2),
        "a refusal (ms of CPU)": round(1000 * refusal_s, 3),
        "the same by what a refusal costs": round((1 - times * cost) / (1 - cost), 3),
        "refused within (ms of the worker's CPU), p50, p99": _quantiles(by_worker),
        "refused within (ms by the clock), p50, p99": _quantiles(refused),
    }


def _quantiles(values: np.ndarray) -> list[float]:
    found: list[float] = np.quantile(values, (0.5, 0.99)).round(1).tolist() if len(values) else []
    return found


def _recovered_s(served: Served) -> float:
    """Return how long after the end the last of some requests in a row was answered."""
    begun_s, good = time.monotonic(), 0
    while good < IN_A_ROW and time.monotonic() - begun_s < TIMEOUT_S:
        good = good + 1 if served.ask("POST", "/recall", {"k": 1})[0] == 200 else 0
    return time.monotonic() - begun_s


@contextlib.contextmanager
def _line(served: Served) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", served.port), timeout=TIMEOUT_S) as line:
        yield line


def _status(line: socket.socket, request: bytes) -> int:
    """Send a request and return the status of its answer, all of which is read."""
    line.sendall(request)
    answer = http.client.HTTPResponse(line)
    answer.begin()
    answer.read()
    return answer.status


class Probes(threading.Thread):
    """Asks both probes again and again while the block runs, until stopped."""

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

    def stop(self) -> None:
        """Ask no more."""
        self._ends.set()
        self.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
