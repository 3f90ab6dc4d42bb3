"""What does an item take in memory, and what does another worker take?

Run: python -m benchmarks.memory [--items 100000] [--rounds 3] [--work DIR] [--json FILE]
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from pydantic import NonNegativeFloat, PositiveInt

from benchmarks.bare_graph import main as bare_graph
from benchmarks.figures import report
from benchmarks.recall_http.load import Failed, Plan, ask
from benchmarks.recall_http.services import RECALL, serve_ours
from benchmarks.recall_http.world import World, kept_bundle
from benchmarks.resident import MB, Memory, memory_of
from benchmarks.targets import Target, ratios
from export.contract.strict import Strict
from export.index.tune import TunedKind
from service.redis.embedded import EmbeddedRedis

KINDS: tuple[TunedKind, ...] = ("hnsw", "compact")
WORKERS = (1, 2, 4)
BARE = "bare hnswlib"
BASE = 1000
"""Items of the small bundle that tells what a service takes without its catalogue."""
SHARE, SERVICE_MB = 1.15, 150
"""One worker should take this share of the bare graph, and this much for all that serves it."""
CONNECTIONS = 32


class Options(Strict):
    """What is asked of the benchmark."""

    items: PositiveInt = 100_000
    rounds: PositiveInt = 3
    seconds: NonNegativeFloat = 1.0
    users: PositiveInt = 2000
    kinds: tuple[TunedKind, ...] = KINDS
    workers: tuple[int, ...] = WORKERS


class Round(Strict):
    """The memory of each service, by index and workers, and of the bare graph."""

    seen: dict[str, Memory]

    def held(self, name: str) -> int:
        """Return the bytes of one."""
        return self.seen[name].total

    def bytes_an_item(self, kind: str, items: int) -> float:
        """Return what an item adds to one worker: what so many take over what few take."""
        added = self.held(f"{kind} 1") - self.held(f"{kind} 1, {BASE} items")
        return added / (items - BASE)


def _allowed(found: Round) -> float:
    return SHARE * found.held(BARE) + SERVICE_MB * MB


TARGETS = tuple(
    target
    for kind in KINDS
    for target in (
        Target[Round](
            f"{kind}: one worker over {SHARE:g} x {BARE} + {SERVICE_MB} MB",
            lambda found, kind=kind: found.held(f"{kind} 1") / _allowed(found),  # type: ignore[misc]
            1.0,
        ),
        Target[Round](
            f"{kind}: two workers over one",
            lambda found, kind=kind: found.held(f"{kind} 2") / found.held(f"{kind} 1"),  # type: ignore[misc]
            1.35,
        ),
    )
)


class Bench:
    """A world, and the bundles of it that are served."""

    def __init__(self, folder: Path, options: Options, data: Path) -> None:
        self._options = options
        self._data = data
        self._world = World(folder, options.items, options.users, 0)
        self._few = min(BASE, options.items)
        self._bundles = {
            (kind, items): kept_bundle(folder, items, kind)
            for kind in options.kinds
            for items in (options.items, self._few)
        }

    def run(self) -> Round:
        """Measure everything once."""
        seen = {BARE: self._bare()}
        for kind in self._options.kinds:
            seen[f"{kind} 1, {BASE} items"] = self._served(self._bundles[kind, self._few], 1)
            for workers in self._options.workers:
                bundle = self._bundles[kind, self._options.items]
                seen[f"{kind} {workers}"] = self._served(bundle, workers)
        return Round(seen=seen)

    def _bare(self) -> Memory:
        """Measure a process that holds the graph of the same vectors and nothing else."""
        given = self._world.given("", 0)
        words = [str(word) for word in (given.index, given.dim, given.ef)]
        command = [sys.executable, "-m", bare_graph.__module__, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return Memory(**json.loads(done.stdout))

    def _served(self, bundle: Path, workers: int) -> Memory:
        """Measure all processes of a service that has been asked for a while."""
        options = self._options
        with contextlib.ExitStack() as stack:
            data = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=self._data)))
            url = stack.enter_context(EmbeddedRedis(data / "redis"))  # it names what is served
            self._world.store(url)
            service = stack.enter_context(serve_ours(data / "ours", bundle, url, [], workers))
            plan = Plan(
                port=service.port,
                connections=CONNECTIONS,
                users=options.users,
                seconds=options.seconds,
                warm_s=0.0,
            )
            ask(plan)
            version = json.loads(service.get(RECALL))["version"]
            if version != bundle.name:
                raise Failed(f"served is {version}, expected {bundle.name}")
            return memory_of(service.processes)


def run(folder: Path, options: Options) -> list[Round]:
    """Measure round after round.

    Raises:
        Failed: A recall was answered otherwise than with 200, or by another bundle.

    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as data:
        bench = Bench(folder, options, Path(data))
        return [bench.run() for _ in range(options.rounds)]


def told(options: Options, rounds: list[Round]) -> dict[str, Any]:
    """Return ratios, bytes an item, and the median (MB) of each process or service."""
    each = {
        name: {
            field: round(median(getattr(one.seen[name], field) for one in rounds) / MB, 1)
            for field in ("total", *Memory._fields)
        }
        for name in rounds[0].seen
    }
    bytes_an_item = {
        kind: round(median(one.bytes_an_item(kind, options.items) for one in rounds))
        for kind in KINDS
        if options.items > BASE
    }
    return {
        "ratios": ratios(TARGETS, rounds),
        "bytes an item, one worker": bytes_an_item,
        "memory (MB)": each,
    }


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Go through the rounds."""
    options = Options(items=asked.items, rounds=asked.rounds)
    with tempfile.TemporaryDirectory() as folder:
        return told(options, run(asked.work or Path(folder), options))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    default = Options()
    parser.add_argument("--items", type=int, default=default.items)
    parser.add_argument("--rounds", type=int, default=default.rounds)
    parser.add_argument("--work", type=Path, help="keeps the bundles there")
    report("memory", parser, measure)


if __name__ == "__main__":
    main()
