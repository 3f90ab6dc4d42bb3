"""Rounds: the bare parts of a start, and a start from a snapshot, in turn."""

import compileall
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from pydantic import NonNegativeFloat, PositiveInt

from benchmarks.cpu import cpu_s
from benchmarks.recall_http.given import Given
from benchmarks.recall_http.load import Failed
from benchmarks.recall_http.services import Service, end, post
from benchmarks.recall_http.world import World
from export.contract.strict import Strict
from service.child.environment import ENVIRONMENT
from service.redis.embedded import EmbeddedRedis
from tests.end_to_end.processes import Served

ROOT = Path(__file__).parents[2]
BARE, STALLS, TWIN = (f"benchmarks.startup.{name}" for name in ("bare", "stalls", "twin"))
RESTORED = "snapshot restored"
"""What the log of a service tells."""


class Options(Strict):
    """What is asked of the benchmark.

    seconds: how long a service that is ready is asked whether it lives.
    """

    items: PositiveInt = 100_000
    rounds: PositiveInt = 3
    seconds: NonNegativeFloat = 5.0
    posted: PositiveInt = 1000


class Bare(Strict):
    """Seconds of each part, of all from the start of the process on, and of its CPU."""

    interpreter: float
    imports: float
    load_index: float
    checksums: float
    all: float
    cpu: float


class Round(Strict):
    """Seconds to readiness and of CPU till then; the longest waits (ms) of both once ready."""

    bare: Bare
    ready_s: float
    cpu_s: float
    livez_ms: float
    twin_ms: float


class Bench:
    """A data folder that a service with posted items has left a snapshot in."""

    def __init__(self, world: World, options: Options, data: Path, url: str) -> None:
        self._options = options
        self._data = data
        self._url = url
        self._bundle = world.bundle
        self._given: Given = world.given(url, 0)
        self._modules = data / "modules.json"
        self._modules.write_bytes(_said(BARE, "libraries"))
        compile_ours()
        served = self._serve()
        try:
            post(Service(served.port, served.process.pid), world.posted)
            served.stop()
        finally:
            served.kill()

    def run(self) -> Round:
        """Measure everything once; what is read of a disk is in memory by then."""
        bare, begun_s = self._bare(), time.monotonic()
        served = self._serve()
        try:
            ready_s = time.monotonic() - begun_s
            check_restored(served.log)
            taken_s = sum(cpu_s(one.pid) for one in served.family())
            with twin() as port:
                words = [str(word) for word in (served.port, port, self._options.seconds)]
                livez_ms, twin_ms = json.loads(_said(STALLS, *words))
        finally:
            served.kill()
        return Round(bare=bare, ready_s=ready_s, cpu_s=taken_s, livez_ms=livez_ms, twin_ms=twin_ms)

    def _serve(self) -> Served:
        return Served(self._data / "ours", self._bundle, redis=self._url)

    def _bare(self) -> Bare:
        given = self._given
        words = [str(one) for one in (self._modules, given.index, given.dim, self._bundle)]
        return Bare.model_validate_json(_said(BARE, str(time.monotonic()), *words))


def compile_ours() -> None:
    """Compile our modules as an installation does; where Python may not, each start would."""
    for room in ("service", "export"):
        compileall.compile_dir(ROOT / room, quiet=1)


def check_restored(log: Path) -> None:
    """Check that a service began from a snapshot; the first one of a folder had none.

    Raises:
        Failed: It did not; has its last words.

    """
    if RESTORED not in (text := log.read_text()):
        raise Failed(f"the start was from no snapshot: {text[-2000:]}")


def _said(module: str, *words: str) -> bytes:
    command = [sys.executable, "-m", module, *words]
    done = subprocess.run(command, capture_output=True, env=ENVIRONMENT | os.environ, check=False)
    if done.returncode:
        raise Failed(done.stderr.decode(errors="replace").strip().rpartition("\n")[2])
    return done.stdout


@contextlib.contextmanager
def twin() -> Iterator[int]:
    """Have a twin; gives its port."""
    process = subprocess.Popen([sys.executable, "-m", TWIN], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        with process.stdout:
            yield int(process.stdout.readline())
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            end(process)


def run(folder: Path, options: Options) -> list[Round]:
    """Go through the rounds.

    Raises:
        Failed: A part of them did not do what it should.

    """
    folder.mkdir(parents=True, exist_ok=True)
    world = World(folder, options.items, 1, options.posted)
    with (
        tempfile.TemporaryDirectory(dir=folder) as data,
        EmbeddedRedis(Path(data) / "redis") as url,
    ):
        bench = Bench(world, options, Path(data), url)
        return [bench.run() for _ in range(options.rounds)]
