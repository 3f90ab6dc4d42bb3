"""Rounds: every service and every bare part in turn, so that a busy machine disturbs all alike."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from benchmarks.recall_http.given import Given
from benchmarks.recall_http.load import Failed, Plan, Seen, ask
from benchmarks.recall_http.services import RECALL, Service, serve_ours, serve_rival
from benchmarks.recall_http.world import World
from export.contract.strict import Strict
from service.redis.embedded import EmbeddedRedis

CLOSED = (1, 8, 32)  # connections that ask again once they are answered
SHARES = (50, 80)  # of what 32 connections were answered, asked at random moments, in percent
OPEN = 64  # connections for these
RIVALS = ("idiomatic", "tuned")
ALIKE = 0.95
"""The share of the truly nearest items that every answer has to hold, on average over users."""

WARM = 0.3  # of the measured time, before it


class Options(Strict):
    """What is asked of the benchmark."""

    items: PositiveInt = 100_000
    seconds: PositiveFloat = 3.0
    rounds: PositiveInt = 3
    posted: NonNegativeInt = 1000
    users: PositiveInt = 2000
    checked: PositiveInt = 50


class Round(Strict):
    """What one round saw of each load, and the CPU (us) of each bare part."""

    seen: dict[str, Seen]
    parts: dict[str, float]


class Bench:
    """Everything that runs while the rounds do."""

    def __init__(self, options: Options, world: World, redis: EmbeddedRedis) -> None:
        self._options = options
        self._world = world
        self._redis = redis
        self.services: dict[str, Service] = {}
        self.alike: dict[str, float] = {}
        self.environment: Mapping[str, str] = {}

    def start(self, folder: Path, url: str, stack: contextlib.ExitStack) -> None:
        """Start all services: ours and each rival with one worker and with two."""
        world, posted = self._world, self._world.posted
        for workers in (1, 2):
            here, more = folder / f"ours-{workers}", posted if workers == 1 else []
            service = serve_ours(here, world.bundle, url, more, workers)
            self.services[f"ours {workers}"] = stack.enter_context(service)
        answer = self.services["ours 1"].get(RECALL)
        given: Given = world.given(url, len(answer))
        self.environment = given.write(folder / "given.json")
        for name, workers in [(name, n) for name in RIVALS for n in (1, 2)] + [("parts", 1)]:
            log = folder / f"{name}-{workers}.log"
            service = serve_rival(f"benchmarks.recall_http.{name}", workers, self.environment, log)
            self.services[f"{name} {workers}"] = stack.enter_context(service)

    def check(self) -> None:
        """Compare answers of all services with exact search.

        Raises:
            Failed: Some service recalls other items than it should.

        """
        users = [f"u{n}" for n in range(min(self._options.checked, self._options.users))]
        for name, service in self.services.items():
            if name.startswith("parts"):
                continue
            answers = {user: service.recall(user) for user in users}
            is_ours = name.startswith("ours")
            self.alike[name] = self._world.recall(answers, with_posted=is_ours)
            if self.alike[name] < ALIKE:
                told = f"{self.alike[name]:.3f} of the nearest items, expected {ALIKE}"
                raise Failed(f"{name}: answers hold {told}")

    def run(self, number: int) -> Round:
        """Ask everything once."""
        seen: dict[str, Seen] = {}
        order = ["ours 1", "idiomatic 1", "tuned 1", "parts 1", "ours 2", "idiomatic 2", "tuned 2"]
        parts: dict[str, float] = {}
        for name in order:
            for connections in CLOSED if name.endswith(" 1") else CLOSED[-1:]:
                seen[f"{name} c={connections}"] = self._ask(name, number, connections)
            capacity = seen[f"{name} c={CLOSED[-1]}"].per_s
            for share in SHARES if name == "ours 1" else ():
                load = self._ask(name, number, OPEN, rate=capacity * share / 100)
                seen[f"{name} at {share} %"] = load
            if name == "parts 1":
                parts = self._bare()
        return Round(seen=seen, parts=parts)

    def _ask(self, name: str, seed: int, connections: int, *, rate: float = 0.0) -> Seen:
        seconds, service = self._options.seconds, self.services[name]
        redis = self._redis.pid
        plan = Plan(
            port=service.port,
            connections=connections,
            users=self._options.users,
            seconds=seconds,
            warm_s=WARM * seconds,
            rate=rate,
            server=service.processes,
            redis=() if redis is None else (redis,),
            seed=seed,
        )
        return ask(plan)

    def _bare(self) -> dict[str, float]:
        """Measure the parts that need no service, in a process of their own."""
        words = [sys.executable, "-m", "benchmarks.recall_http.parts", str(self._options.seconds)]
        environ = os.environ | self.environment
        done = subprocess.run(words, capture_output=True, env=environ, check=False)
        if done.returncode:
            raise Failed(done.stderr.decode(errors="replace").strip().rpartition("\n")[2])
        found: dict[str, float] = json.loads(done.stdout)
        return found


def run(folder: Path, options: Options) -> tuple[dict[str, object], list[Round]]:
    """Make the world, start everything, check the answers, and go through the rounds.

    Raises:
        Failed: Something was answered otherwise than with 200, or with other items.

    """
    folder.mkdir(parents=True, exist_ok=True)
    world = World(folder, options.items, options.users, options.posted)
    with contextlib.ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        redis = EmbeddedRedis(data / "redis")
        url = stack.enter_context(redis)
        world.store(url)
        bench = Bench(options, world, redis)
        bench.start(data, url, stack)
        for workers in (1, 2):
            bench.services[f"ours {workers}"].wait_for_delta(options.posted)
        bench.check()
        rounds = [bench.run(number) for number in range(options.rounds)]
    return {**world.facts(), "of the nearest items": bench.alike}, rounds
