"""A primary is killed and its replica promoted: one that has every write, and one that lags."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import redis

from benchmarks.soak.held import held_to, logged_in
from benchmarks.soak.ledger import Acknowledged, Ledger
from benchmarks.soak.replicas import eventually, metric, told_durability
from benchmarks.soak.scenario import Figures, Say, Scenario
from benchmarks.soak.scenarios.emptied import ANNOUNCED, MENDED_S
from benchmarks.soak.writers import Writers
from tests.end_to_end.processes import Served
from tests.faults.own_redis import OwnRedis
from tests.faults.proxy import Proxy

TAKEN_UP_S = 20.0


class Parts(NamedTuple):
    """A primary, the proxy through which its replica follows, the replica, and the service.

    The service knows only the address of `front`, behind which the primary stands at first.
    """

    primary: OwnRedis
    link: Proxy
    replica: OwnRedis
    front: Proxy
    served: Served
    clients: Writers


class Replica(Scenario):
    """With `write_ack=replica` the primary is killed -9 under load and its replica promoted."""

    name = "replica"
    small: ClassVar = {"items": 500, "writes": 150}
    writes: int = 3000

    def run(self, folder: Path, ledger: Ledger, say: Say) -> Figures:
        """What was said to be durable must be in the replica before the service mends anything."""
        with _parts(self, folder, ledger, write_ack="replica") as parts:
            told = told_durability(parts.served, "replica")
            with parts.clients:
                parts.clients.wait_for_more(self.writes)
                parts.primary.kill()
                durable = [write for write in ledger.writes if write.durable]
                lacking = _lacking(parts.replica, durable)
                for write in lacking[:5]:
                    ledger.fault(f"{write} was said to be durable and is not in the replica")
                say(f"{len(durable)} durable writes, {len(lacking)} of them not in the replica")
                _promote(parts)
                parts.clients.wait_for_more(10)  # each waits 1 s for a replica that is not there
            return {
                "durability": told,
                "durable writes": len(durable),
                "not in the promoted replica": len(lacking),
                "durability without a replica": told_durability(parts.served, "fsync"),
            } | held_to(parts.served, ledger, parts.replica.url, self.workers)


class Lagging(Scenario):
    """With `write_ack=local` a replica that lags is promoted: the loss is told and made good."""

    name = "lagging"
    small: ClassVar = {"items": 500, "writes": 100}
    writes: int = 2000

    def run(self, folder: Path, ledger: Ledger, say: Say) -> Figures:
        """Hold the link up, write more, and promote what does not have it."""
        with _parts(self, folder, ledger, write_ack="local") as parts:
            with parts.clients:
                parts.clients.wait_for_more(self.writes)
                parts.link.fault = "hang"
                parts.clients.wait_for_more(self.writes)
                parts.clients.pause()
                before = held_to(parts.served, ledger, parts.primary.url, self.workers)
                parts.primary.kill()
                lost = len(_lacking(parts.replica, ledger.writes))
                if not lost:
                    ledger.fault("the replica lacks nothing, so nothing was tried")
                _promote(parts)
                announced_s = eventually(
                    lambda: metric(parts.served, *ANNOUNCED) > 0, MENDED_S, "announced again"
                )
                parts.clients.go_on()
                parts.clients.wait_for_more(50)
            after = held_to(parts.served, ledger, parts.replica.url, self.workers)
            announced = int(metric(parts.served, *ANNOUNCED))
        say(f"the promoted replica lacked {lost} writes; {announced} items announced again")
        return {
            "writes not in the promoted replica": lost,
            "announced again": announced,
            "until it is announced (s)": round(announced_s, 2),
            "lost by the service": before.get("lost", -1) + after.get("lost", -1),
        } | {name: after[name] for name in after if name != "lost"}


@contextlib.contextmanager
def _parts(scenario: Scenario, folder: Path, ledger: Ledger, **settings: object) -> Iterator[Parts]:
    """Start a primary, its replica and a service, and make clients that do not write yet."""
    bundle, vectors = scenario.bundle(folder)
    with contextlib.ExitStack() as stack:
        primary = stack.enter_context(OwnRedis(folder / "primary"))
        link = stack.enter_context(Proxy(("127.0.0.1", primary.port)))
        follow = ("--replicaof", "127.0.0.1", str(link.port))
        replica = stack.enter_context(OwnRedis(folder / "replica", *follow))
        eventually(lambda: _is_linked(replica), TAKEN_UP_S, "the replica follows")
        front = stack.enter_context(Proxy(("127.0.0.1", primary.port)))
        options = ("--redis", front.url)
        served = stack.enter_context(scenario.served(folder, bundle, *options, **settings))
        clients = scenario.writers(served, ledger, vectors)
        yield Parts(primary, link, replica, front, served, clients)


def _promote(parts: Parts) -> None:
    """Make the replica a primary, and have the service's address lead to it."""
    with redis.Redis.from_url(parts.replica.url) as client:
        client.replicaof("NO", "ONE")
    parts.front.target = ("127.0.0.1", parts.replica.port)


def _lacking(server: OwnRedis, writes: Sequence[Acknowledged]) -> list[Acknowledged]:
    """Return the writes whose entry the log of a Redis does not have."""
    with redis.Redis.from_url(server.url) as client:
        logged = logged_in(client)
    return [write for write in writes if write.log_id not in logged]


def _is_linked(replica: OwnRedis) -> bool:
    with redis.Redis.from_url(replica.url) as client:
        return bool(client.info("replication").get("master_link_status") == "up")
