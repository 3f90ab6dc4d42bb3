"""A Redis of the user's that syncs every second is killed -9: its process, not its machine."""

import time
from pathlib import Path
from typing import ClassVar, Literal

from benchmarks.soak.held import held_to
from benchmarks.soak.ledger import Ledger
from benchmarks.soak.replicas import told_durability
from benchmarks.soak.scenario import Figures, Say, Scenario
from tests.faults.own_redis import OwnRedis, waitaof_server


class Everysec(Scenario):
    """A Redis of the user's with `appendfsync everysec` is killed -9: the process alone.

    With `write_ack` of `fsync` each write waits for the disk (WAITAOF), which takes the Redis 7.2
    or later that is on PATH.
    """

    name = "everysec"
    small: ClassVar = {"items": 500, "kills": 1}
    kills: int = 5
    write_ack: Literal["local", "fsync"] = "local"

    def run(self, folder: Path, ledger: Ledger, say: Say) -> Figures:
        """Kill and start it again under load; what was acknowledged is in the kernel's hands."""
        bundle, vectors = self.bundle(folder)
        waits = self.write_ack == "fsync"
        binary = waitaof_server() if waits else None
        with (
            OwnRedis(folder, "--appendfsync", "everysec", binary=binary) as server,
            self.served(folder, bundle, "--redis", server.url, write_ack=self.write_ack) as served,
        ):
            told = told_durability(served, "fsync" if waits else "everysec")
            clients = self.writers(served, ledger, vectors)
            with clients:
                for _ in range(self.kills):
                    clients.wait_for_more(100)
                    server.kill()
                    time.sleep(0.5)
                    server.start()
                    clients.wait_for_more(20)
            say(f"redis killed {self.kills} times, {len(ledger.writes)} writes acknowledged")
            return {"kills": self.kills, "durability": told} | held_to(
                served, ledger, server.url, self.workers
            )
