"""The whole of it: a service, steady load at a share of its capacity, rollouts, and the verdict."""

import asyncio
import contextlib
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt, SecretStr

from benchmarks.rollout.bundles import as_version, make_bundles, user_id
from benchmarks.rollout.final import Final, look
from benchmarks.rollout.judge import Judge, Verdict
from benchmarks.rollout.latency import latencies, statuses
from benchmarks.rollout.notes import Notes
from benchmarks.rollout.publisher import Publisher
from benchmarks.rollout.records import cluster_words, record
from benchmarks.rollout.traffic import Plan, request
from benchmarks.rollout.watched import memory
from benchmarks.steady_load import Client
from export.contract.strict import Strict
from service.metrics_folder import MULTIPROCESS
from service.redis.embedded import running_url
from service.settings import Settings
from tests.end_to_end.processes import Served

FIRST = "first"
MEMORY_RATIO, P99_RATIO = 1.1, 2.0
BUMP_MS = 50.0
"""Of a catalogue of 100,000 items; one of a million may have twice as much."""
LOADERS_AT_ONCE = 8


class Options(Strict):
    """What is rolled out, how often, and under which load.

    bases: how many different pairs of towers the versions have in turn.
    share: of the capacity, which is measured for `measured_s` before.
    rate: recalls a second; None: as the share says.
    writes: items posted or removed a second.
    pause_s: between two rollouts.
    most_s: after which no other rollout is begun.
    every: of so many recalls one is scored again.
    settings: of the service; `linger_s` must be longer than a client's pause between two requests,
        and `unnamed_kept_s` short, for each rollout ends when one version is loaded.
    """

    items: PositiveInt = 100_000
    dim: PositiveInt = 64
    rollouts: PositiveInt = 10
    workers: PositiveInt = 1
    users: PositiveInt = 2000
    bases: PositiveInt = 3
    share: PositiveFloat = 0.5
    rate: float | None = None
    measured_s: PositiveFloat = 5.0
    writes: NonNegativeFloat = 10.0
    pause_s: NonNegativeFloat = 3.0
    most_s: NonNegativeFloat = math.inf
    every: PositiveInt = 10
    k: PositiveInt = 100
    settings: dict[str, Any] = {"linger_s": 2.0, "unnamed_kept_s": 1.0}


@dataclass(frozen=True)
class Result:
    """What came of it: the verdict, what is there in the end, and all figures."""

    verdict: Verdict
    final: Final
    figures: dict[str, Any]

    @property
    def failures(self) -> list[str]:
        """What broke a promise, in words; timing and memory are for the reader of the figures."""
        statuses: dict[str, int] = self.figures["statuses"]
        bad = [f"{n} x status {one}" for one, n in statuses.items() if not one.startswith("2")]
        bad += [f"{n} x {sort}" for sort, n in self.verdict.contradictions.items()]
        for name in ("missing", "lost", "risen"):
            if found := getattr(self.final, name):
                bad.append(f"{len(found)} items {name}, {found[0]} first")
        return bad


def run(folder: Path, options: Options) -> Result:
    """Roll out version after version under load.

    Args:
        folder: For bundles, which are kept and used again, the service's data and the notes; one
            that was used before must not hold `data`, `bundles` or notes any more.
        options: What to do.

    """
    made = folder / f"bases-{options.items}x{options.dim}"
    bases = make_bundles(made, options.items, options.dim, options.bases)
    first = as_version(bases[0], folder / "bundles" / FIRST)
    workers = ("--workers", str(options.workers))
    with patch.dict(os.environ, {MULTIPROCESS: str(folder / "metrics")}):
        served = Served(folder / "data", first, *workers, **options.settings)
    try:
        return _run(folder, options, served, bases)
    finally:
        served.kill()


def _run(folder: Path, options: Options, served: Served, bases: list[Path]) -> Result:
    clusters = len(cluster_words(options.items))
    asyncio.run(put_users(served.port, options.users, clusters))
    plan = Plan(
        port=served.port,
        users=options.users,
        items=options.items,
        clusters=clusters,
        rate=0,
        writes=0,
        k=options.k,
        every=options.every,
        seconds=options.measured_s,
    )
    with _traffic(folder, "capacity", plan) as load:
        load.wait()
    capacity = len(Notes.read(folder / "capacity.jsonl").recalls) / options.measured_s
    rate = options.share * capacity if options.rate is None else options.rate
    settings = Settings(redis=_redis(folder), bundles=folder / "bundles")
    publisher = Publisher(served, folder / "metrics", settings, bases, of={FIRST: bases[0]})
    before = memory(served)
    steady = {"rate": rate, "writes": options.writes, "seconds": None}
    with _traffic(folder, "steady", plan.model_copy(update=steady)) as load:
        _roll_out(publisher, options)
        assert load.poll() is None, "the load ended too early"
    after = memory(served)
    told = [asdict(swap) for swap in publisher.swaps]
    (folder / "swaps.json").write_text(json.dumps(told), encoding="utf-8")
    notes = Notes.read(folder / "steady.jsonl")
    verdict = Judge(notes, publisher.of, options.k).run()
    final = look(served, notes, publisher.current(), clusters)
    load_told = {"capacity_rps": round(capacity, 1), "rate_rps": round(rate, 1)}
    figures = load_told | _figures(notes, publisher, verdict, final, before, after)
    return Result(verdict, final, figures)


def _roll_out(publisher: Publisher, options: Options) -> None:
    """Roll out as often as is asked for, with pauses; each is told of on standard error."""
    until = time.monotonic() + options.most_s
    time.sleep(options.pause_s)
    while len(publisher.swaps) < options.rollouts and time.monotonic() < until:
        swap = publisher.roll_out()
        told = f"served after {swap.served - swap.began:.1f} s, alone {swap.ended - swap.began:.1f}"
        sys.stderr.write(f"rollout {len(publisher.swaps)} {swap.kind}: {told} s\n")
        time.sleep(options.pause_s)


async def put_users(port: int, users: int, clusters: int) -> None:
    """Store the users that are recalled for, in their first edition."""

    async def put(client: Client, numbers: range) -> None:
        for one in map(user_id, numbers):
            call = request("PUT", f"/users/{one}", keep=True, body=record(one, 0, clusters))
            status = (await client.exchange(call)).status
            assert status in (200, 201), f"user {one} was not stored: status {status}"
        client.close()

    step = LOADERS_AT_ONCE
    await asyncio.gather(*(put(Client(port, True), range(n, users, step)) for n in range(step)))


@contextlib.contextmanager
def _traffic(folder: Path, name: str, plan: Plan) -> "Iterator[subprocess.Popen[bytes]]":
    """Run traffic in a process of its own; told to end at the end."""
    plan_file, notes = folder / f"{name}.json", folder / f"{name}.jsonl"
    plan_file.write_text(plan.model_dump_json(), encoding="utf-8")
    program = [sys.executable, "-m", "benchmarks.rollout.traffic", str(plan_file), str(notes)]
    with subprocess.Popen(program, stdin=subprocess.PIPE) as load:
        try:
            yield load
            load.communicate(timeout=60)
        except BaseException:
            load.kill()
            raise
    if load.returncode:
        raise RuntimeError(f"the load failed, exit code {load.returncode}")


def _redis(folder: Path) -> SecretStr:
    url = running_url(folder / "data" / "redis")
    assert url is not None, "the service runs its embedded Redis"
    return SecretStr(url)


def _figures(
    notes: Notes,
    publisher: Publisher,
    verdict: Verdict,
    final: Final,
    before: dict[str, Any],
    after: dict[str, Any],
) -> dict[str, Any]:
    swaps = publisher.swaps
    served = [
        sum(mib for role, mib in told["mib"].items() if role != "redis") for told in (before, after)
    ]
    recalls, memory_ratio = latencies(notes.recalls, swaps), round(served[1] / served[0], 3)
    return {
        "targets": _targets(recalls, memory_ratio),
        "rollouts": len(swaps),
        "kinds": publisher.kinds(),
        "publishers_refused": publisher.refused,
        "until_served_s": _spread([swap.served - swap.began for swap in swaps]),
        "until_alone_s": _spread([swap.ended - swap.began for swap in swaps]),
        "statuses": statuses(notes.all),
        "failed": [one for one in notes.all if not 200 <= one["status"] < 300][:10],
        "recalls": recalls,
        "writes": latencies(notes.writes, swaps),
        "verdict": verdict.figures(),
        "final": final.figures(),
        "memory_before": before,
        "memory_after": after,
        "memory_ratio": memory_ratio,
    }


def _targets(recalls: dict[str, Any], memory_ratio: float) -> dict[str, Any]:
    """Hold times and memory against what they should be; a busy machine misses what it could do.

    Times of a swap are compared with the pause before it, and the median over the swaps is taken.
    """
    told = {"memory, after of before": (memory_ratio, MEMORY_RATIO)}
    for what, of in (("a swap", "by_swap"), ("a whole rollout", "by_rollout")):
        if found := recalls[of]:
            told |= {
                f"p99 of {what}, of that before": (found["ratio"]["p99"], P99_RATIO),
                f"p99.9 of {what}, less that before (ms)": (found["bump_ms"]["p999"], BUMP_MS),
            }
    return {
        name: {"is": found, "at most": most, "met": found <= most}
        for name, (found, most) in told.items()
    }


def _spread(seconds: list[float]) -> dict[str, float]:
    return {"median": round(float(np.median(seconds)), 2), "longest": round(max(seconds), 2)}
