"""Where does the CPU of one recall go? A table of stages that adds up to the whole.

Run: python -m benchmarks.recall_http.stages [--items 100000] [--seconds 3] [--work DIR]
    [--json FILE]
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.figures import report
from benchmarks.recall_http.load import Plan, ask
from benchmarks.recall_http.profiled import MARKS
from benchmarks.recall_http.rounds import CLOSED, Options
from benchmarks.recall_http.services import Service, end, post, wait_ready
from benchmarks.recall_http.world import World
from service.redis.embedded import EmbeddedRedis
from tests.end_to_end.processes import free_port

TOLD_S = 10.0


@contextlib.contextmanager
def serve_profiled(folder: Path, world: World, redis: str, marks: Path) -> Iterator[Service]:
    """Serve a world by one worker that marks its stages."""
    port, metrics = free_port(), folder / "metrics"
    metrics.mkdir()
    environ = os.environ | {
        "FIRSTSIGHT_BUNDLE": str(world.bundle),
        "FIRSTSIGHT_BUNDLES": str(world.bundle.parent),
        "FIRSTSIGHT_DATA_FOLDER": str(folder / "profiled"),
        "FIRSTSIGHT_REDIS": redis,
        "FIRSTSIGHT_PORT": str(port),
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
        MARKS: str(marks),
    }
    words, log = [sys.executable, "-m", "benchmarks.recall_http.profiled"], folder / "profiled.log"
    with log.open("wb") as file:
        process = subprocess.Popen(words, env=environ, stdout=file, stderr=file)
    try:
        service = Service(port, process.pid)
        wait_ready(service, process, log, "/readyz")
        post(service, world.posted)
        service.wait_for_delta(len(world.posted))
        yield service
    finally:
        end(process)


def told(service: Service, marks: Path) -> dict[str, dict[str, int]]:
    """Have the worker tell what it has marked so far; it is the last process of the service."""
    marks.unlink(missing_ok=True)
    psutil.Process(service.processes[-1]).send_signal(signal.SIGUSR1)
    until_s = time.monotonic() + TOLD_S
    while not marks.exists():
        if time.monotonic() > until_s:
            raise TimeoutError(f"{marks}: not written within {TOLD_S:g} s")
        with contextlib.suppress(OSError):
            service.get("/livez")  # a loop that sleeps would not look at its signals
    found: dict[str, dict[str, int]] = json.loads(marks.read_bytes())
    return found


def stages(folder: Path, options: Options) -> dict[str, Any]:
    """Return, for each number of connections, the CPU (us) of a recall by stage, and in all."""
    folder.mkdir(parents=True, exist_ok=True)
    world = World(folder, options.items, options.users, options.posted)
    found: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        url = stack.enter_context(EmbeddedRedis(data / "redis"))
        world.store(url)
        marks = data / "marks.json"
        service = stack.enter_context(serve_profiled(data, world, url, marks))
        for connections in CLOSED:
            found[f"c={connections}"] = _asked(service, marks, options, connections)
    return found


def _asked(service: Service, marks: Path, options: Options, connections: int) -> dict[str, Any]:
    plan = Plan(
        port=service.port,
        connections=connections,
        users=options.users,
        seconds=options.seconds,
        warm_s=0.0,  # every recall is marked
        server=service.processes,
    )
    before = told(service, marks)
    seen = ask(plan)
    after = told(service, marks)
    recalls = after["calls"]["endpoint"] - before["calls"].get("endpoint", 0)
    table = {
        stage: round((ns - before["ns"].get(stage, 0)) / recalls / 1000, 1)
        for stage, ns in after["ns"].items()
    }
    return {
        "recalls": recalls,
        "stages (us of CPU)": table,
        "sum": round(sum(table.values()), 1),
        "all processes": round(seen.cpu_us * seen.answered / recalls, 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    default = Options()
    parser.add_argument("--items", type=int, default=default.items)
    parser.add_argument("--seconds", type=float, default=default.seconds)
    parser.add_argument("--work", type=Path, help="keeps the bundle there")

    def measure(asked: argparse.Namespace) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            options = Options(items=asked.items, seconds=asked.seconds)
            return stages(asked.work or Path(folder), options)

    report("recall_http.stages", parser, measure)


if __name__ == "__main__":
    main()
