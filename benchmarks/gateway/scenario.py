"""The whole of it: Redis, replicas, a gateway, steady load through it, events, and the verdict."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt, SecretStr

from benchmarks.gateway.events import Operator, Replica, Timeline
from benchmarks.gateway.held import (
    OF_A_USER,
    SHOWN,
    changed,
    failed,
    flipped,
    latencies,
    mixed,
    unsure_items,
    users_amiss,
)
from benchmarks.gateway.traffic import TIMEOUT_S, Begun, Plan
from benchmarks.rollout.bundles import as_version, make_bundles
from benchmarks.rollout.final import Final, look
from benchmarks.rollout.judge import Judge, Verdict
from benchmarks.rollout.latency import statuses
from benchmarks.rollout.notes import Notes
from benchmarks.rollout.records import cluster_words
from benchmarks.rollout.scenario import FIRST, put_users
from export.contract.strict import Strict
from service.settings import Settings
from tests.deploy.gateway import Gateway
from tests.faults.own_redis import OwnRedis

REPLICAS = 2


class Options(Strict):
    """What is done to replicas, and under which load.

    seconds: of steady load in all, at least; events take what they take.
    connections: of the load, kept; what is due while all are in use waits for one.
    share: of the capacity, which `clients` measure for `measured_s` before.
    quiet_s: before the first event; pause_s: between two of them.
    down_s: how long the replica that is killed stays down.
    tried, tried_s: the share of users on whom the version is tried that is rolled out, how long.
    every: of so many recalls one is scored again.
    settings: of the replicas, as docs/deploy.md has them behind this gateway.
    """

    items: PositiveInt = 20_000
    dim: PositiveInt = 64
    users: PositiveInt = 2000
    seconds: PositiveFloat = 300.0
    connections: PositiveInt = 128
    share: PositiveFloat = 0.5
    clients: PositiveInt = 16
    measured_s: PositiveFloat = 10.0
    quiet_s: NonNegativeFloat = 60.0
    pause_s: NonNegativeFloat = 15.0
    down_s: NonNegativeFloat = 3.0
    tried: PositiveFloat = 0.3
    tried_s: NonNegativeFloat = 15.0
    every: PositiveInt = 10
    k: PositiveInt = 100
    seed: int = 1
    settings: dict[str, Any] = {"linger_s": 5.0}


@dataclass(frozen=True)
class Result:
    """What was seen in the steady part, and what is there in the end.

    finals, unsure, amiss: of each replica what became of acknowledged items; of each how many items
        have their last write that was not acknowledged; what is none of all that it may be.
    """

    begun: Begun
    notes: Notes
    timeline: Timeline
    verdict: Verdict
    finals: list[Final]
    unsure: list[Mapping[str, int]]
    amiss: list[str]

    @property
    def failures(self) -> list[str]:
        """What broke a promise, in words; how long it took is for the reader of the figures."""
        told = [f"{one['method']} ({one['is']}): {one['status']}" for one in failed(self.notes)[0]]
        told += mixed(self.notes, self.timeline)
        told += changed(self.notes, self.timeline)
        told += [f"{n} x {sort}" for sort, n in self.verdict.contradictions.items()]
        stale = [one["id"] for one in self.notes.others if one.get("is_stale")]
        told += [f"user {one} was not as it was stored last" for one in stale]
        told += self.amiss
        if any(one != self.unsure[0] for one in self.unsure):
            told.append(f"replicas differ in what was not acknowledged: {self.unsure}")
        for number, final in enumerate(self.finals, start=1):
            for name in ("missing", "lost", "risen"):
                if found := getattr(final, name):
                    told.append(f"replica {number}: {len(found)} items {name}, {found[0]} first")
        return told

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Latencies before, in, between and after what was done."""
        return latencies(self.notes, self.timeline.events)

    @property
    def figures(self) -> dict[str, Any]:
        """All that JSON can hold."""
        idempotent, posts = failed(self.notes)
        began = self.begun.at
        return {
            "capacity_rps": round(self.begun.capacity, 1),
            "rate_rps": round(self.begun.rate, 1),
            "timeout_s": TIMEOUT_S,
            "requests": len(self.notes.all),
            "idempotent": sum(one["method"] != "POST" for one in self.notes.all),
            "failed_idempotent": len(idempotent),
            "failed_posts": len(posts),
            "failed": [*idempotent, *posts][:SHOWN],
            "not_acknowledged": self.unsure[0],
            "recalls": sum(one["is"] in OF_A_USER for one in self.notes.all),
            "degraded_recalls": sum(one.get("is_degraded", False) for one in self.notes.all),
            "statuses": statuses(self.notes.all),
            "mixed_versions": len(mixed(self.notes, self.timeline)),
            "users_who_flipped": flipped(self.notes, self.timeline),
            "changed_for_nothing": len(changed(self.notes, self.timeline)),
            "events": [
                {"name": one.name, "at_s": round(one.began - began, 1)}
                | {"took_s": round(one.ended - one.began, 1)}
                for one in self.timeline.events
            ],
            "latencies": self.rows,
            "verdict": self.verdict.figures(),
            "final": [final.figures() for final in self.finals],
        }


def run(folder: Path, options: Options) -> Result:
    """Do it.

    Args:
        folder: For bundles, which are kept and used again, and in `run` all else, which must not be
            there.
        options: What to do.

    """
    made = folder / f"bases-{options.items}x{options.dim}"
    bases = make_bundles(made, options.items, options.dim, 2)
    folder = folder / "run"
    first = as_version(bases[0], folder / "bundles" / FIRST)
    with ExitStack() as stack:
        redis = stack.enter_context(OwnRedis(folder / "redis"))
        replicas = []
        for number in range(1, REPLICAS + 1):
            replica = Replica(folder / f"replica-{number}", first, redis.url, options.settings)
            stack.callback(replica.kill)
            replicas.append(replica)
        # One client is all clients here, and its limits are those of all.
        ports = [one.served.port for one in replicas]
        gateway = Gateway(ports, CONNECTIONS="4096")
        stack.callback(gateway.stop)
        settings = Settings(redis=SecretStr(redis.url), bundles=folder / "bundles")
        return _run(folder, options, Operator(replicas, settings), gateway, bases)


def _run(
    folder: Path, options: Options, operator: Operator, gateway: Gateway, bases: list[Path]
) -> Result:
    served = [one.served for one in operator.replicas]
    clusters = len(cluster_words(options.items))
    asyncio.run(put_users(served[0].port, options.users, clusters))
    world = {name: getattr(options, name) for name in Plan.model_fields if hasattr(options, name)}
    plan = Plan(port=gateway.port, authority=gateway.authority, clusters=clusters, **world)
    with _traffic(folder, plan) as begun:
        second = _operate(operator, options, bases[1], folder / "incoming")
        time.sleep(max(0.0, begun.at + options.seconds - time.monotonic()))
    served = [one.served for one in operator.replicas]  # others by now
    every, steady = (Notes.read(folder / "notes.jsonl") for _ in range(2))
    steady.keep_since(begun.at)
    current = operator.pointer().current
    unsure = [unsure_items(one, every, clusters) for one in served]
    return Result(
        begun,
        steady,
        operator.timeline,
        Judge(steady, {FIRST: bases[0], second: bases[1]}, options.k).run(),
        [look(one, every, current, clusters) for one in served],
        [found for found, _ in unsure],
        users_amiss(served[0], every, clusters) + [told for _, amiss in unsure for told in amiss],
    )


def _operate(operator: Operator, options: Options, base: Path, incoming: Path) -> str:
    """Do all that is done, with pauses; return the version that was rolled out and back."""
    time.sleep(options.quiet_s)
    operator.rolling_restart(options.pause_s)
    operator.kill(options.down_s)
    time.sleep(options.pause_s)
    version = operator.roll_out(base, incoming, options.tried, options.tried_s)
    time.sleep(options.pause_s)
    operator.roll_back()
    time.sleep(options.pause_s)
    operator.end()
    return version


@contextmanager
def _traffic(folder: Path, plan: Plan) -> Iterator[Begun]:
    """Run traffic in a process of its own, from when it is steady; told to end at the end."""
    plan_file, notes = folder / "plan.json", folder / "notes.jsonl"
    plan_file.write_text(plan.model_dump_json(), encoding="utf-8")
    program = [sys.executable, "-m", "benchmarks.gateway.traffic", str(plan_file), str(notes)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as load:
        try:
            assert load.stdout is not None
            yield Begun.model_validate_json(load.stdout.readline())
            assert load.poll() is None, "the load ended too early"
            load.communicate(timeout=60)
        except BaseException:
            load.kill()
            raise
    if load.returncode:
        raise RuntimeError(f"the load failed, exit code {load.returncode}")
