"""A Redis that keeps nothing is killed and comes back empty: the loss is told, and made good."""

from pathlib import Path
from typing import ClassVar

import redis

from benchmarks.soak.held import held_to
from benchmarks.soak.ledger import Ledger
from benchmarks.soak.replicas import eventually, metric, told_durability
from benchmarks.soak.scenario import Figures, Say, Scenario
from tests.faults.own_redis import OwnRedis

ANNOUNCED = ("firstsight_reconciled_total", '{was="announced"}')
MENDED_S = 60.0


class Emptied(Scenario):
    """A Redis of the user's without persistence is killed -9 and comes back empty."""

    name = "emptied"
    small: ClassVar = {"items": 500, "writes": 150}
    writes: int = 3000

    def run(self, folder: Path, ledger: Ledger, say: Say) -> Figures:
        """Write, empty it, see that it is told and mended, write again and compare."""
        bundle, vectors = self.bundle(folder)
        with (
            OwnRedis(folder, "--appendonly", "no") as server,
            self.served(folder, bundle, "--redis", server.url) as served,
        ):
            told = told_durability(served, "none")
            if not served.ask("GET", "/readyz")[1]["remedy"]:
                ledger.fault("no remedy is told")
            clients = self.writers(served, ledger, vectors)
            with clients:
                clients.wait_for_more(self.writes)
                clients.pause()
                before = held_to(served, ledger, server.url, self.workers)
                server.kill()
                server.start()
                lost = sum(bool(held.log_id) for held in ledger.items.values())
                mended_s = eventually(lambda: _stored(server) >= lost, MENDED_S, "announced again")
                say(f"{lost} items lost by Redis and announced again within {mended_s:.1f} s")
                eventually(
                    lambda: metric(served, *ANNOUNCED) >= lost, MENDED_S, "counted as announced"
                )
                announced = metric(served, *ANNOUNCED)
                clients.go_on()
                clients.wait_for_more(50)
            if any(write.durable for write in ledger.writes):
                ledger.fault("a write was acknowledged with durable: true")
            after = held_to(served, ledger, server.url, self.workers)
        return {
            "durability": told,
            "lost by Redis": lost,
            "announced again": int(announced),
            "until Redis has all again (s)": round(mended_s, 2),
            "lost by the service": before.get("lost", -1) + after.get("lost", -1),
        } | {name: after[name] for name in after if name != "lost"}


def _stored(server: OwnRedis) -> int:
    with redis.Redis.from_url(server.url) as client:
        return int(client.zcard("{fs}:items"))
