"""Rounds: probes of two replicas that are idle, then at half load; then a stream of posts."""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, cycle, islice
from pathlib import Path
from urllib.error import HTTPError

import psutil
from pydantic import PositiveFloat, PositiveInt

from benchmarks.freshness import probe, relay
from benchmarks.freshness.probe import Took
from benchmarks.recall_http.load import Failed, Plan, Seen, ask
from benchmarks.recall_http.records import draw_records
from benchmarks.recall_http.services import Service, end, serve_ours
from benchmarks.recall_http.world import World
from export.contract.strict import Strict
from service.redis.embedded import EmbeddedRedis

REPLICAS = ("posted to", "other")
AMONG = 20
"""A probe's item is as near to its user as the nearest so many are: posts beside it are no harm."""
DRAWN, PROBES, POSTS = 4000, 11, 12  # items drawn for probes; seeds
CLOSED, OPEN = 32, 64  # connections that ask once they are answered, and at random moments
HALF = 0.5
KNOWN_S = 30.0


class Options(Strict):
    """What is asked of the benchmark.

    probes: items of each kind of probe in a round.
    rate: posts a second, for `seconds`.
    recalls: a second, of each replica beside them.
    """

    items: PositiveInt = 100_000
    rounds: PositiveInt = 3
    probes: PositiveInt = 200
    seconds: PositiveFloat = 4.0
    rate: PositiveFloat = 500.0
    recalls: PositiveFloat = 100.0
    users: PositiveInt = 2000


class Round(Strict):
    """What was seen.

    relay_ms: of two processes and Redis alone.
    before, beside: by replica, without posts and beside them.
    behind_s: after the posts, until the other replica knows the last one.
    """

    capacity: Seen
    relay_ms: list[float]
    idle: Took
    half: Took
    before: dict[str, Seen]
    beside: dict[str, Seen]
    posts: Seen
    behind_s: float


class Bench:
    """Two replicas of one Redis, and items that nobody has posted yet."""

    def __init__(self, world: World, options: Options, folder: Path, url: str) -> None:
        self._options = options
        self._folder = folder
        self._url = url
        self._near = cycle(world.near(DRAWN, AMONG, PROBES))
        self._numbers = count()
        self.replicas: dict[str, Service] = {}

    def run(self, number: int) -> Round:
        """Measure everything once."""
        to, other = (self.replicas[name] for name in REPLICAS)
        capacity = ask(self._plan(other, number, CLOSED))
        relay_ms = json.loads(_said(relay.__name__, self._url, str(self._options.probes)))
        idle = self._probes(to, other)
        with self._asked(other, capacity.per_s * HALF, number):
            half = self._probes(to, other)
        before, _ = self._beside(number, None)
        posted, last = self._items(number)
        beside, posts = self._beside(number, posted)
        if posts is None:
            raise Failed("nothing was posted")
        behind_s = known_after_s(other, last)
        return Round(
            capacity=capacity,
            relay_ms=relay_ms,
            idle=idle,
            half=half,
            before=before,
            beside=beside,
            posts=posts,
            behind_s=behind_s,
        )

    def _plan(self, service: Service, seed: int, connections: int, rate: float = 0.0) -> Plan:
        options = self._options
        return Plan(
            port=service.port,
            connections=connections,
            users=options.users,
            seconds=options.seconds,
            warm_s=0.3,
            rate=rate,
            seed=seed,
        )

    def _probes(self, to: Service, other: Service) -> Took:
        pairs = islice(self._near, self._options.probes)
        told = [(user, {"id": f"probe-{next(self._numbers)}"} | item) for user, item in pairs]
        path = self._folder / "probes.json"
        path.write_text(json.dumps(told), encoding="utf-8")
        plan = probe.Plan(post_port=to.port, recall_port=other.port, probes=path)
        return Took.model_validate_json(_said(probe.__name__, plan.model_dump_json()))

    @contextlib.contextmanager
    def _asked(self, service: Service, rate: float, seed: int) -> Iterator[None]:
        """Have a replica asked at a rate for as long as the block runs.

        Raises:
            Failed: It was not asked to the end.

        """
        plan = self._plan(service, seed, OPEN, rate).model_copy(update={"seconds": 600.0})
        words = [sys.executable, "-m", "benchmarks.recall_http.load", plan.model_dump_json()]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        try:
            time.sleep(1.0)  # until it is there, and warm
            yield
            if process.poll() is not None:
                raise Failed(f"the load beside the probes has ended with {process.returncode}")
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                end(process)

    def _items(self, number: int) -> tuple[Path, str]:
        """Write the items that a round posts; return the last one that is surely posted."""
        options = self._options
        most = int(2 * options.rate * (options.seconds + 1))
        drawn = draw_records("item", options.items, most, POSTS + number)
        path = self._folder / f"posts-{number}.jsonl"
        with path.open("w", encoding="utf-8") as file:
            for at, item in enumerate(drawn):
                file.write(json.dumps({"id": f"post-{number}-{at}"} | item) + "\n")
        return path, f"post-{number}-{int(options.rate * options.seconds / 2)}"

    def _beside(self, seed: int, posted: Path | None) -> tuple[dict[str, Seen], Seen | None]:
        """Ask both replicas at a rate, and post to one of them where there is something to post."""
        options = self._options
        plans = [self._plan(self.replicas[name], seed, OPEN, options.recalls) for name in REPLICAS]
        if posted is not None:
            post = self._plan(self.replicas[REPLICAS[0]], seed, OPEN, options.rate)
            plans.append(post.model_copy(update={"posted": posted}))
        with ThreadPoolExecutor(len(plans)) as pool:
            seen = [*pool.map(ask, plans)]
        return dict(zip(REPLICAS, seen, strict=False)), None if posted is None else seen[-1]


def _said(module: str, *words: str) -> bytes:
    done = subprocess.run([sys.executable, "-m", module, *words], capture_output=True, check=False)
    if done.returncode:
        raise Failed(done.stderr.decode(errors="replace").strip().rpartition("\n")[2])
    return done.stdout


def known_after_s(service: Service, item: str) -> float:
    """Return how long it takes until a replica knows an item.

    Raises:
        Failed: It does not come to that.

    """
    begun_s = time.monotonic()
    while time.monotonic() < begun_s + KNOWN_S:
        with contextlib.suppress(HTTPError):
            service.get(f"/items/{item}")
            return time.monotonic() - begun_s
        time.sleep(0.01)
    raise Failed(f"item {item!r} is not known within {KNOWN_S:g} s")


def run(folder: Path, options: Options) -> list[Round]:
    """Go through the rounds.

    Raises:
        Failed: Something was answered otherwise than with 200, or never recalled.

    """
    folder.mkdir(parents=True, exist_ok=True)
    world = World(folder, options.items, options.users, 0)
    with contextlib.ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        url = stack.enter_context(EmbeddedRedis(data / "redis"))
        world.store(url)
        bench = Bench(world, options, data, url)
        for name in REPLICAS:
            service = serve_ours(data / name.replace(" ", "-"), world.bundle, url, [], 1)
            bench.replicas[name] = stack.enter_context(service)
        return [bench.run(number) for number in range(options.rounds)]
