"""The embedded Redis, which syncs each write, is killed -9 while clients write."""

import random
import time
from pathlib import Path
from typing import ClassVar

from benchmarks.soak.held import held_to
from benchmarks.soak.ledger import Ledger
from benchmarks.soak.replicas import redis_process, redis_url, told_durability
from benchmarks.soak.scenario import Figures, Say, Scenario


class Redis(Scenario):
    """The embedded Redis (`appendfsync always`) is killed -9 while clients write."""

    name = "redis"
    small: ClassVar = {"items": 500, "kills": 3}
    kills: int = 20

    def run(self, folder: Path, ledger: Ledger, say: Say) -> Figures:
        """Kill, wait until writes are acknowledged again, and compare in the end."""
        bundle, vectors = self.bundle(folder)
        rng, recovered_s = random.Random(self.seed), []
        with self.served(folder, bundle) as served:
            told = told_durability(served, "fsync")
            clients = self.writers(served, ledger, vectors)
            with clients:
                clients.wait_for_more(20)
                if not all(write.durable for write in ledger.writes):
                    ledger.fault("before any kill a write was acknowledged with durable: false")
                for kill in range(1, self.kills + 1):
                    clients.wait_for_more(20)
                    time.sleep(rng.uniform(0.0, 1.0))
                    redis_process(served).kill()
                    recovered_s.append(clients.wait_for_more(1))
                    if kill % 5 == 0:
                        say(f"redis killed {kill} times, {len(ledger.writes)} writes acknowledged")
                clients.wait_for_more(20)
            return {
                "kills": self.kills,
                "durability": told,
                "until writes are taken again, longest (s)": round(max(recovered_s), 2),
                # Redis took them and was killed before it told again how it keeps data.
                "durable: false": sum(not write.durable for write in ledger.writes),
            } | held_to(served, ledger, redis_url(served), self.workers)
