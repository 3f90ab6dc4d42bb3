"""Workers are killed -9 at random while clients write."""

import contextlib
import random
import time
from pathlib import Path
from typing import ClassVar

import psutil

from benchmarks.soak.held import held_to
from benchmarks.soak.ledger import Ledger
from benchmarks.soak.replicas import redis_url
from benchmarks.soak.scenario import Figures, Say, Scenario
from tests.end_to_end.processes import Served


class Workers(Scenario):
    """Workers are killed -9 at random, `pause_s` apart on average, while clients write."""

    name = "workers"
    small: ClassVar = {"items": 500, "kills": 10, "pause_s": 0.3}
    kills: int = 200
    pause_s: float = 1.2

    def run(self, folder: Path, ledger: Ledger, say: Say) -> Figures:
        """Kill, go on, and compare once it is quiet."""
        bundle, vectors = self.bundle(folder)
        rng = random.Random(self.seed)
        with self.served(folder, bundle) as served:
            clients = self.writers(served, ledger, vectors)
            with clients:
                for kill in range(1, self.kills + 1):
                    time.sleep(rng.uniform(0.2, 1.8) * self.pause_s)
                    clients.wait_for_more(10)
                    self._kill_one(served, rng)
                    if kill % 20 == 0:
                        say(f"{kill} workers killed, {len(ledger.writes)} writes acknowledged")
                clients.wait_for_more(20)
            return {"kills": self.kills} | held_to(served, ledger, redis_url(served), self.workers)

    @staticmethod
    def _kill_one(served: Served, rng: random.Random) -> None:
        while True:  # there is always one, or soon one again
            found = served.workers()
            if found:
                with contextlib.suppress(psutil.NoSuchProcess):
                    rng.choice(found).kill()
                    return
            time.sleep(0.01)
