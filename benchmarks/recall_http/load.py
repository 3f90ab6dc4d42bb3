"""Recalls over plain sockets from a process of its own, timed from when they were due.

`python -m benchmarks.recall_http.load PLAN` takes a JSON plan and prints what was seen as JSON.
A client must take as little as can be of the cores that it shares with a service, and wake when it
means to: an event loop costs twice as much and rounds its timers to milliseconds.
"""

import random
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable
from itertools import cycle
from pathlib import Path

import numpy as np
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from benchmarks.cpu import cpu_s
from export.contract.strict import Strict

GOOD = (b"HTTP/1.1 200 ", b"HTTP/1.1 201 ")
HEAD_ENDS, LENGTH = b"\r\n\r\n", b"\r\ncontent-length: "
K = 100  # items of every recall
AT_MOST = 1 << 18
SLACK_S = 30.0


class Plan(Strict):
    """Who is asked, and how.

    rate: requests a second at moments drawn at random; 0: a line asks again once it is answered.
    warm_s, seconds: how long it asks before it measures, and then.
    posted: a file of items, one a line, that are posted one after the other instead.
    server, redis: processes whose CPU is read where the measuring begins and ends.
    """

    port: int
    connections: PositiveInt
    users: PositiveInt
    seconds: PositiveFloat
    warm_s: NonNegativeFloat
    rate: NonNegativeFloat = 0.0
    posted: Path | None = None
    server: tuple[int, ...] = ()
    redis: tuple[int, ...] = ()
    seed: int = 1


class Seen(Strict):
    """What one load has seen; CPU is that of all named processes, for one answer."""

    answered: int
    per_s: float
    p50_ms: float
    p99_ms: float
    longest_ms: float
    cpu_us: float
    redis_cpu_us: float
    client_cpu_us: float
    body_bytes: int


class Failed(Exception):
    """What came was no whole answer with status 200; the message has how it began."""


class Line:
    """A connection that is there, with one request at a time on it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SLACK_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due_s = 0.0
        self.body_bytes = 0
        self.answer = b""  # the last whole one
        self._came = b""

    def fileno(self) -> int:
        """Return what `select` takes."""
        return self.socket.fileno()

    def send(self, request: bytes, due_s: float) -> None:
        """Send a request that was due at a moment."""
        self.due_s = due_s
        self.socket.sendall(request)

    def read(self) -> bool:
        """Take what came; say whether the answer is whole.

        Raises:
            Failed: It is no answer with status 200, or the connection ended.

        """
        came = self.socket.recv(AT_MOST)
        self._came = whole = self._came + came if self._came else came
        if not came or not any(whole.startswith(good[: len(whole)]) for good in GOOD):
            raise Failed(f"expected an answer with status 200, got {whole[:400]!r}")
        head = whole.find(HEAD_ENDS)
        if head < 0:
            return False
        at = whole.find(LENGTH, 0, head) + len(LENGTH)
        self.body_bytes = int(whole[at : whole.find(b"\r\n", at)])
        if len(whole) < head + len(HEAD_ENDS) + self.body_bytes:
            return False
        self.answer, self._came = whole, b""
        return True


class Load:
    """The lines of a plan, and what each answer took."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        drawn = random.Random(plan.seed)
        self._requests = cycle(
            _recalls(plan, drawn) if plan.posted is None else _posts(plan.posted)
        )
        self._gaps = (drawn.expovariate(plan.rate) for _ in cycle([0])) if plan.rate else None
        self._idle = deque(Line(plan.port) for _ in range(plan.connections))
        self._busy: list[Line] = []
        self._waiting: deque[float] = deque()
        self.answers: list[tuple[float, float]] = []  # when it was due, and when it came

    def run(self) -> Seen:
        """Ask as planned.

        Raises:
            Failed: Something else than a good answer came.

        """
        try:
            return self._run()
        finally:
            for line in [*self._idle, *self._busy]:
                line.socket.close()

    def _run(self) -> Seen:
        plan, begun_s = self._plan, time.perf_counter()
        starts_s = begun_s + plan.warm_s
        self._ask(begun_s, starts_s)
        before = self._cpu_s()
        self._ask(starts_s, starts_s + plan.seconds)
        ends_s, after = time.perf_counter(), self._cpu_s()
        while self._send():  # what was due in time counts, however late it is answered
            if not self._take(SLACK_S):
                raise Failed(f"no answer within {SLACK_S:g} s")
        came = [row for row in self.answers if starts_s <= row[1] < ends_s]
        took_ms = [1000 * (at - due) for due, at in self.answers if starts_s <= due < ends_s]
        if not came or not took_ms:
            raise Failed(f"no answer within {plan.seconds:g} s")
        p50, p99 = np.quantile(took_ms, (0.5, 0.99))
        server, redis, client = (
            1e6 * (b - a) / len(came) for a, b in zip(before, after, strict=True)
        )
        return Seen(
            answered=len(came),
            per_s=len(came) / (ends_s - starts_s),
            p50_ms=p50,
            p99_ms=p99,
            longest_ms=max(took_ms),
            cpu_us=server,
            redis_cpu_us=redis,
            client_cpu_us=client,
            body_bytes=self._idle[0].body_bytes,
        )

    def _cpu_s(self) -> tuple[float, float, float]:
        plan = self._plan
        return _sum(plan.server), _sum(plan.redis), time.process_time()

    def _ask(self, due_s: float, end_s: float) -> None:
        """Ask until a moment; in an open loop the first request is due at `due_s`."""
        while (now_s := time.perf_counter()) < end_s:
            next_s = end_s
            if self._gaps is None:
                self._waiting.extend(now_s for _ in self._idle)
            else:
                while due_s <= now_s:
                    self._waiting.append(due_s)
                    due_s += next(self._gaps)
                next_s = min(due_s, end_s)
            self._send()
            self._take(max(0.0, next_s - time.perf_counter()))

    def _send(self) -> bool:
        """Send what is due, as far as there are lines; say whether any answer is awaited."""
        while self._waiting and self._idle:
            line = self._idle.popleft()
            line.send(next(self._requests), self._waiting.popleft())
            self._busy.append(line)
        return bool(self._busy)

    def _take(self, timeout_s: float) -> bool:
        """Wait for answers so long at most, and take those that came; say whether any did."""
        ready, _, _ = select.select(self._busy, [], [], timeout_s)
        for line in ready:
            if line.read():
                self.answers.append((line.due_s, time.perf_counter()))
                self._busy.remove(line)
                self._idle.append(line)
        return bool(ready)


def recall_of(user: int) -> bytes:
    """Return the request for a stored user's items."""
    return f"GET /recall?user_id=u{user}&k={K} HTTP/1.1\r\nhost: x\r\n\r\n".encode()


def post_of(item: bytes) -> bytes:
    """Return the request that posts one item, given as JSON."""
    head = "POST /items?vector=false HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(item)}\r\n\r\n".encode() + item


def _recalls(plan: Plan, drawn: random.Random) -> list[bytes]:
    return [recall_of(user) for user in drawn.sample(range(plan.users), plan.users)]


def _posts(path: Path) -> list[bytes]:
    return [post_of(line) for line in path.read_bytes().splitlines()]


def _sum(processes: Iterable[int]) -> float:
    return sum(cpu_s(process) for process in processes)


def ask(plan: Plan) -> Seen:
    """Ask from a process of its own.

    Raises:
        Failed: Something else than good answers came.

    """
    words = [sys.executable, "-m", "benchmarks.recall_http.load", plan.model_dump_json()]
    timeout_s = plan.warm_s + plan.seconds + 2 * SLACK_S
    done = subprocess.run(words, capture_output=True, timeout=timeout_s, check=False)
    if done.returncode:
        raise Failed(done.stderr.decode(errors="replace").strip().rpartition("\n")[2])
    return Seen.model_validate_json(done.stdout)


if __name__ == "__main__":
    sys.stdout.write(Load(Plan.model_validate_json(sys.argv[1])).run().model_dump_json())
