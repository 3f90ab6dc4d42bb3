"""What does a recall cost by what else a user would pick, at the same recall?

Run: python -m benchmarks.peers [--items 100000] [--seconds 3] [--rounds 3] [--peers faiss,...]
    [--work DIR] [--json FILE]
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.figures import report
from benchmarks.peers.app import FOLDER, PEER
from benchmarks.peers.members import MEMBERS, member, missing
from benchmarks.recall_http.load import Failed, Plan, Seen, ask
from benchmarks.recall_http.rounds import ALIKE
from benchmarks.recall_http.services import Service, serve_ours, serve_rival
from benchmarks.recall_http.world import World
from export.contract.bundle import read_bundle
from service.redis.embedded import EmbeddedRedis

CONNECTIONS = (8, 32)
ALIKE_TO = 0.005
"""How much less of the nearest items a peer may find than ours."""
CHECKED = 50
USERS = 2000
BUILD_MOST_S = 900.0


@dataclass(frozen=True)
class Ready:
    """A service that finds enough, what it took to build, and what it searches with."""

    service: Service
    helpers: tuple[int, ...]
    facts: dict[str, Any]

    @property
    def processes(self) -> tuple[int, ...]:
        """All that work for it, each once: a helper may be a child of the service."""
        return tuple({*self.service.processes, *self.helpers})


class TooFew(Failed):
    """Even the dearest search of a peer finds less than enough of the nearest items."""


@contextlib.contextmanager
def ours(folder: Path, world: World, url: str) -> Iterator[Ready]:
    """Serve the bundle by the real command, with its defaults."""
    with serve_ours(folder / "ours", world.bundle, url, [], 1) as service:
        found = world.recall(_answers(service), with_posted=False)
        yield Ready(service, (), {"recall": round(found, 4), **world.facts()})


@contextlib.contextmanager
def peer(
    name: str, folder: Path, world: World, environment: dict[str, str], enough: float
) -> Iterator[Ready]:
    """Build a peer's store, serve it, and raise its effort until it finds enough.

    Raises:
        TooFew: Even its dearest search does not.
        Failed: Its store cannot be built.

    """
    folder.mkdir()
    np.save(folder / "vectors.npy", read_bundle(world.bundle).vectors)
    words = [sys.executable, "-m", "benchmarks.peers.build", name, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=BUILD_MOST_S)
    if done.returncode:
        raise Failed(f"{name}: {done.stderr.strip()[-800:]}")
    built = json.loads(done.stdout.splitlines()[-1])
    environment = environment | {PEER: name, FOLDER: str(folder)}
    log = folder / "service.log"
    with serve_rival("benchmarks.peers.app", 1, environment, log) as service:
        for effort in member(name).efforts:
            helpers = tuple(json.loads(service.get(f"/effort/{effort}")))
            found = world.recall(_answers(service), with_posted=False)
            if found >= enough:
                break
        else:
            raise TooFew(f"finds {found:.4f} of the nearest items, expected {enough:.4f}")
        facts = {"recall": round(found, 4), "effort": effort, "built (s)": round(built["s"], 1)}
        yield Ready(service, helpers, facts | {"note": member(name).note})


def _answers(service: Service) -> dict[str, list[str]]:
    return {f"u{n}": service.recall(f"u{n}") for n in range(CHECKED)}


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Serve everything, go through the rounds; ratios stand first.

    Raises:
        Failed: Something was answered otherwise than with 200, or finds too little.

    """
    names = [one for one in asked.peers.split(",") if one] if asked.peers else list(MEMBERS)
    lacking = {name: missing(name) for name in names}
    not_run = {name: f"not run: {why}" for name, why in lacking.items() if why}
    with contextlib.ExitStack() as stack:
        work = asked.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        work.mkdir(parents=True, exist_ok=True)
        world = World(work, asked.items, USERS, 0)
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=work)))
        redis = EmbeddedRedis(data / "redis")
        url = stack.enter_context(redis)
        world.store(url)
        environment = world.given(url, 0).write(data / "given.json")
        ready = {"ours": stack.enter_context(ours(data, world, url))}
        enough = max(ALIKE, ready["ours"].facts["recall"] - ALIKE_TO)
        for name in (one for one in names if one not in not_run):
            there = peer(name, data / name, world, environment, enough)
            try:
                ready[name] = stack.enter_context(there)
            except TooFew as error:
                not_run[name] = f"not run: {error}"
        stores = (redis.pid,) if redis.pid else ()
        rounds = [_round(ready, stores, asked.seconds, seed) for seed in range(asked.rounds)]
    return {
        "ratios": ratios(rounds),
        "peers": {name: one.facts for name, one in ready.items()} | not_run,
        "rounds": [{name: seen.model_dump() for name, seen in one.items()} for one in rounds],
    }


Round = dict[str, Seen]
"""What was seen of each service, by `NAME c=CONNECTIONS`."""


def _round(ready: dict[str, Ready], stores: tuple[int, ...], seconds: float, seed: int) -> Round:
    """Ask every service in turn; `stores` are processes of the Redis that has the users."""
    seen: Round = {}
    for connections in CONNECTIONS:
        for name, one in ready.items():
            plan = Plan(
                port=one.service.port,
                connections=connections,
                users=USERS,
                seconds=seconds,
                warm_s=0.3 * seconds,
                server=one.processes,
                redis=stores,
                seed=seed,
            )
            seen[f"{name} c={connections}"] = ask(plan)
    return seen


def ratios(rounds: list[Round]) -> list[dict[str, Any]]:
    """Return, for each peer and load, what it takes of what ours does: above 1 ours is ahead."""
    told = []
    for load in rounds[0]:
        name, _, connections = load.partition(" ")
        if name == "ours":
            continue
        mine = f"ours {connections}"
        for what, figure in (("CPU of a recall", "cpu_us"), ("p99", "p99_ms")):
            found = [getattr(one[load], figure) / getattr(one[mine], figure) for one in rounds]
            told.append(
                {
                    "ratio": f"{what} over ours, {load}",
                    "median": round(median(found), 2),
                    "least": round(min(found), 2),
                    "most": round(max(found), 2),
                    "target": "above 1",
                    "is": "met" if median(found) > 1 else "missed",
                }
            )
    return told


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", help="names, commas between; by default all that can run here")
    parser.add_argument("--work", type=Path, help="keeps the bundle there")
    report("peers", parser, measure)


if __name__ == "__main__":
    main()
