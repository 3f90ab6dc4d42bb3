"""Redis hangs, breaks off, answers late or is not there: what a recall costs then, and after."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from typing import ClassVar, Literal, NamedTuple, get_args

from benchmarks.soak.ledger import Ledger
from benchmarks.soak.replicas import Line, eventually, metric
from benchmarks.soak.scenario import Figures, Say, Scenario
from tests.end_to_end.processes import Served
from tests.faults.own_redis import OwnRedis
from tests.faults.proxy import Proxy

Kind = Literal["hung", "cut", "slow"]

RECALL = "/recall?user_id=u&k=20"
SLOW_S = 0.3
PAUSE_S = 0.01
"""Between two recalls, any of which may be one that waits."""
SETTLED_S = 30.0


class Outage(NamedTuple):
    """One injection.

    more_ms: the longest recall while Redis was away, less the longest of as many in full.
    closed_s: from Redis being well until a recall is answered in full and no breaker is open.
    """

    more_ms: float
    closed_s: float


class Outages(Scenario):
    """Redis hangs, is cut off, is slow, or is down at a start, again and again, under recalls.

    While it is away each recall is answered at most `more_ms` later than usual, and breakers close
    within `closes_s` of its recovery. Usual is what as many recalls took beside it in the same run.
    Of the `injections` of each kind (`starts` of a service without Redis) the median is judged, for
    the machine may be busy in any one of them.
    """

    name = "outages"
    small: ClassVar = {
        "items": 500,
        "injections": 1,
        "starts": 1,
        "recalls": 30,
        "more_ms": 1000.0,  # of one there is no median
        "closes_s": 16.0,
    }
    workers: int = 1
    injections: int = 15
    starts: int = 5
    recalls: int = 60
    more_ms: float = 60.0
    closes_s: float = 2.0

    def run(self, folder: Path, ledger: Ledger, say: Say) -> Figures:
        """Inject each fault so often, and hold the medians to the bounds."""
        bundle, _ = self.bundle(folder)
        found: dict[str, list[Outage]] = {}
        with OwnRedis(folder / "redis") as server:
            with (
                Proxy(("127.0.0.1", server.port), SLOW_S) as proxy,
                self.served(folder, bundle, "--redis", proxy.url) as served,
            ):
                for kind in get_args(Kind):
                    found[kind] = [
                        self._inject(kind, server, proxy, served) for _ in range(self.injections)
                    ]
                    say(f"{kind}: {_told(found[kind])}")
            found["down at the start"] = [
                self._start(folder / f"start-{number}", bundle, server)
                for number in range(self.starts)
            ]
        self.judge(ledger, found)
        return {kind: _told(outages) for kind, outages in found.items()}

    def judge(self, ledger: Ledger, found: dict[str, list[Outage]]) -> None:
        """Hold the medians of each kind to the bounds."""
        for kind, outages in found.items():
            more_ms, closed_s = (median(values) for values in zip(*outages, strict=True))
            if more_ms > self.more_ms:
                ledger.fault(f"{kind}: {more_ms:.0f} ms more than usual, expected {self.more_ms:g}")
            if closed_s > self.closes_s:
                ledger.fault(f"{kind}: closed after {closed_s:.2f} s, expected {self.closes_s:g}")

    def _inject(self, kind: Kind, server: OwnRedis, proxy: Proxy, served: Served) -> Outage:
        _settle(served)
        usual_ms = self._longest_ms(served, [])
        with _away(kind, server, proxy):
            away_ms = self._longest_ms(served, ["store"])
        return Outage(away_ms - usual_ms, _settle(served))

    def _start(self, folder: Path, bundle: Path, server: OwnRedis) -> Outage:
        server.kill()
        with self.served(folder, bundle, "--redis", server.url) as served:
            away_ms = self._longest_ms(served, ["store"])
            server.start()
            closed_s = _settle(served)
            return Outage(away_ms - self._longest_ms(served, []), closed_s)

    def _longest_ms(self, served: Served, degraded: Sequence[str]) -> float:
        """Recall so often, and return the longest time (ms).

        Raises:
            RuntimeError: One is not answered, or most of them not `degraded` in this way.

        """
        seconds, alike = [], 0
        with closing(Line(served)) as line:
            for _ in range(self.recalls):
                sent_s = time.monotonic()
                status, answer = line.ask("GET", RECALL)
                seconds.append(time.monotonic() - sent_s)
                if status != 200:
                    raise RuntimeError(f"a recall was answered with {status}: {answer}")
                alike += answer["degraded"] == degraded
                time.sleep(PAUSE_S)
        if alike <= self.recalls / 2:
            raise RuntimeError(f"{alike} of {self.recalls} recalls were degraded by {degraded}")
        return 1000 * max(seconds)


@contextmanager
def _away(kind: Kind, server: OwnRedis, proxy: Proxy) -> Iterator[None]:
    """Have Redis away for as long as the block runs; it is well at its end."""
    if kind == "hung":
        server.process.send_signal(signal.SIGSTOP)
    else:
        proxy.fault = "cut" if kind == "cut" else "delay"
    try:
        yield
    finally:
        proxy.fault = "pass"
        server.process.send_signal(signal.SIGCONT)


def _settle(served: Served) -> float:
    """Wait until recalls are answered in full and no breaker is open; return how long (s)."""

    def is_well() -> bool:
        _, answer = served.ask("GET", RECALL)
        return not answer["degraded"] and not metric(served, "firstsight_breaker_open")

    return eventually(is_well, SETTLED_S, "recalls are answered in full")


def _told(outages: Sequence[Outage]) -> Figures:
    more_ms, closed_s = zip(*outages, strict=True)
    return {
        "longer than usual (ms), median, most": [round(median(more_ms), 1), round(max(more_ms), 1)],
        "closed after (s), median, most": [round(median(closed_s), 2), round(max(closed_s), 2)],
    }
