"""An hour of adds, updates and removals with recalls beside: nothing wears out."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from benchmarks.soak.catalogue import FEATURE
from benchmarks.soak.held import held_to
from benchmarks.soak.ledger import Ledger
from benchmarks.soak.readers import Readers
from benchmarks.soak.replicas import redis_url
from benchmarks.soak.scenario import Figures, Say, Scenario
from benchmarks.soak.usage import Usage, pause_until
from benchmarks.soak.writers import Writers
from export.contract.manifest import read_manifest
from export.embedder import Vectors
from export.index.clustered import queries_near
from service.store import LogId
from tests.end_to_end.processes import Served

K = 100
BUSY = 5
QUERIES = 50
SLACK = 0.002
"""How far 500 queries, by which an index is tuned, may mistake its recall: two standard errors."""
SETTINGS = {
    "linger_s": 2,
    "log_kept_s": 60,
    "snapshot_s": 30,
    "snapshot_entries": 5000,
    "reconcile_s": 30,
}
"""With them everything that grows and is cut back is cut back many times in the run."""


class Churn(Scenario):
    """Items come, change and go at a steady rate with recalls beside; nothing wears out.

    Every `check_s` clients pause, and `QUERIES` recalls are compared with exact search over what
    was acknowledged. At least `handovers` new loaders take over, and memory and descriptors of
    the last fifth of the time exceed those of the second by no more than `drift`.
    """

    name = "churn"
    small: ClassVar = {
        "items": 2500,
        "seconds": 20.0,
        "new_ids": 150,
        "check_s": 4.0,
        "handovers": 1,
        "drift": 1.0,
    }
    items: int = 10_000
    new_ids: int = 625
    old_share: float = 1.0
    posts: int = 1
    seconds: float = 3600.0
    check_s: float = 15.0
    readers: int = 2
    recalls: float = 20.0
    handovers: int = 10
    drift: float = 0.10

    def run(self, folder: Path, ledger: Ledger, say: Say) -> Figures:
        """Churn, look, and compare in the end."""
        bundle, vectors = self.bundle(folder)
        target = read_manifest(bundle).index.target_recall
        found: list[float] = []
        with self.served(folder, bundle, **SETTINGS) as served:
            clients = self.writers(served, ledger, vectors)
            readers = Readers(served.port, ledger, self.readers, self.recalls, self.seed)
            with Usage(served) as usage, readers, clients:
                begun_s = time.monotonic()
                while self._goes_on(time.monotonic() - begun_s, usage):
                    pause_until(time.monotonic() + self.check_s)
                    found.append(self._recall(served, clients, len(found)))
                    if len(found) % 10 == 0:
                        left_s = begun_s + self.seconds - time.monotonic()
                        say(f"recall {np.mean(found):.4f}, {usage.told()}, {left_s:.0f} s to go")
            self._judge(ledger, usage, found, target)
            return {
                f"recall@{K}, mean": round(float(np.mean(found)), 5),
                f"recall@{K}, worst of {len(found)} looks": round(min(found), 5),
                "recall target": target,
                "handovers": usage.handovers,
                **usage.told(),
                "recall p50, p99, p99.9, longest (ms)": [
                    readers.at(share) for share in (0.5, 0.99, 0.999, 1.0)
                ],
            } | held_to(served, ledger, redis_url(served), self.workers)

    def _goes_on(self, since_s: float, usage: Usage) -> bool:
        """Say whether time is left; a machine that is too busy for the handovers has more of it."""
        is_short = usage.handovers < self.handovers
        return since_s < self.seconds * (BUSY if is_short else 1)

    def _recall(self, served: Served, clients: Writers, look: int) -> float:
        """Return the share of the exact nearest that recalls find, of some users made near items.

        What the answering worker must have applied is named by `after`.
        """
        clients.pause()
        try:
            live = clients.ledger.live()
            ids, matrix = list(live), np.stack(list(live.values()))
            newest = max(LogId.parse(write.log_id) for write in clients.ledger.writes[-1000:])
            queries = queries_near(matrix, QUERIES, self.seed + look)
            shares = [
                _share(ids, matrix @ query, _asked(served, query, str(newest))) for query in queries
            ]
        finally:
            clients.go_on()
        return float(np.mean(shares))

    def _judge(self, ledger: Ledger, usage: Usage, found: Sequence[float], target: float) -> None:
        if np.mean(found) < target - SLACK:
            ledger.fault(f"recall@{K} is {np.mean(found):.4f}, the target is {target}")
        fifths = usage.fifths()
        for name in ("memory_mib", "descriptors"):
            before, after = fifths[name]
            if after > before * (1 + self.drift):
                ledger.fault(f"{name}: {before:.1f} in the second fifth, {after:.1f} in the last")
        if usage.handovers < self.handovers:
            ledger.fault(f"{usage.handovers} handovers, expected at least {self.handovers}")
        for status, count in ledger.statuses.items():
            if not status.removeprefix("recall ").startswith("2"):
                ledger.fault(f"{count} requests were answered with {status}")


def _asked(served: Served, query: Vectors, after: str) -> list[str]:
    """Return what a recall gives, once the worker that answers has applied a log entry."""
    body: dict[str, Any] = {"user": {FEATURE: query.tolist()}, "k": K, "after": after}
    for _ in range(20):
        status, answer = served.ask("POST", "/recall", body)
        if status == 200 and not answer["degraded"]:
            return list(answer["items"])
    raise TimeoutError(f"recall after {after}: {status} {answer}")


def _share(ids: Sequence[str], scores: np.ndarray, answered: Sequence[str]) -> float:
    best = {ids[row] for row in np.argsort(-scores, kind="stable")[:K].tolist()}
    return len(best & set(answered)) / len(best)
