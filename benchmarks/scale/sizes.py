"""What a catalogue of a size takes: graph, start, memory, recall, a new item, vocabulary."""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import numpy as np
from pydantic import PositiveFloat, PositiveInt, TypeAdapter

from benchmarks.cpu import cpu_s
from benchmarks.freshness import probe
from benchmarks.freshness.rounds import AMONG, DRAWN
from benchmarks.recall_http.load import Failed, K, Plan, ask
from benchmarks.recall_http.services import RECALL, Service
from benchmarks.recall_http.world import World, kept_bundle
from benchmarks.resident import memory_of
from export.contract.bundle import BundleLayout, read_manifest
from export.contract.strict import Strict
from export.index import IndexConfig
from export.index.tune import TunedKind
from service.redis.embedded import EmbeddedRedis
from tests.end_to_end.processes import Served

KINDS: tuple[TunedKind, ...] = ("hnsw", "compact")
VOCABULARY = "benchmarks.scale.vocabulary"
FEW_WORDS = 100
QUERIES, PASSES, PROBES = 200, 5, 50


class Options(Strict):
    """What is asked of the benchmark: numbers of items, and how long each service is asked."""

    sizes: tuple[PositiveInt, ...] = (10_000, 30_000, 100_000)
    seconds: PositiveFloat = 2.0
    users: PositiveInt = 2000
    kinds: tuple[TunedKind, ...] = KINDS


class Taken(Strict):
    """Of one index with so many items, served by one worker.

    build_cpu_s: to build the index with one thread.
    start_cpu_s: of all processes, from the start of the first to readiness.
    memory_bytes: of all processes of the service.
    search_us: CPU of a search of the index, the least of some passes.
    recall_ms: median latency of a recall over one connection, the least of some passes.
    fresh_ms: median from when an item is posted until it is recalled, asked again and again.
    """

    build_cpu_s: float
    start_cpu_s: float
    memory_bytes: float
    search_us: float
    recall_ms: float
    fresh_ms: float


class Size(Strict):
    """What was measured of one number of items; the vocabulary has as many words, in one worker."""

    taken: dict[str, Taken]
    vocabulary_bytes: float


def measured(folder: Path, items: int, options: Options) -> Size:
    """Measure one size.

    Raises:
        Failed: A recall was answered otherwise than with 200, or by another bundle.

    """
    world = World(folder, items, options.users, 0)
    with tempfile.TemporaryDirectory(dir=folder) as data:
        taken = {
            kind: _taken(folder, Path(data), world, kind, items, options) for kind in options.kinds
        }
        held = [_vocabulary(Path(data), words) for words in (FEW_WORDS, FEW_WORDS + items)]
    return Size(taken=taken, vocabulary_bytes=held[1] - held[0])


def _taken(
    folder: Path, data: Path, world: World, kind: TunedKind, items: int, options: Options
) -> Taken:
    bundle = kept_bundle(folder, items, kind)
    build_cpu_s, search_us = _index_of(bundle, world)
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(EmbeddedRedis(data / f"redis-{kind}"))
        world.store(url)
        served = Served(data / kind, bundle, redis=url)
        stack.callback(served.kill)
        start_cpu_s = sum(cpu_s(one.pid) for one in served.family())
        service = Service(served.port, served.process.pid)
        version = json.loads(service.get(RECALL))["version"]
        if version != bundle.name:
            raise Failed(f"served is {version}, expected {bundle.name}")
        plan = Plan(
            port=service.port,
            connections=1,
            users=options.users,
            seconds=options.seconds / PASSES,
            warm_s=0.2,
        )
        recall_ms = min(ask(plan).p50_ms for _ in range(PASSES))
        return Taken(
            build_cpu_s=build_cpu_s,
            start_cpu_s=start_cpu_s,
            memory_bytes=memory_of(service.processes).total,
            search_us=search_us,
            recall_ms=recall_ms,
            fresh_ms=_fresh_ms(data / "probes.json", world, service),
        )


def _fresh_ms(path: Path, world: World, service: Service) -> float:
    """Return the median time from an item's being posted to its being recalled; posts PROBES."""
    near = enumerate(islice(cycle(world.near(DRAWN, AMONG, PROBES)), PROBES))
    told = [(user, {"id": f"probe-{number}"} | item) for number, (user, item) in near]
    path.write_text(json.dumps(told), encoding="utf-8")
    plan = probe.Plan(post_port=service.port, recall_port=service.port, probes=path)
    return median(probe.run(plan).recalled_ms)


def _index_of(bundle: Path, world: World) -> tuple[float, float]:
    """Return the CPU of building an index (s) with one thread, and of a search (us)."""
    settings = read_manifest(bundle).index.settings
    config: IndexConfig = TypeAdapter(IndexConfig).validate_python(settings)
    vectors, begun_s = np.load(BundleLayout(bundle).vectors), time.process_time()
    vectors.flags.writeable = False
    index = config.build(vectors, threads=1)
    build_s, queries = time.process_time() - begun_s, world.queries(QUERIES)
    passes = []
    for _ in range(PASSES):
        begun_s = time.process_time()
        for at in range(len(queries)):
            index.search(queries[at : at + 1], min(K, len(vectors)))
        passes.append(time.process_time() - begun_s)
    return build_s, 1e6 * min(passes) / len(queries)


def _vocabulary(data: Path, words: int) -> int:
    """Return the bytes of a process that has a tower of so many words."""
    command = [sys.executable, "-m", VOCABULARY, str(data / "tower.onnx")]
    subprocess.run([*command, str(words)], check=True)
    return int(subprocess.run(command, capture_output=True, check=True).stdout)
