"""What processes counted, held against what they say themselves; they are killed for it."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.metrics_folder import MULTIPROCESS, MetricsFolder
from service.processes.loader import fold_metrics

PROGRAM = """
import os, sys, time
from prometheus_client import Counter, Gauge, Histogram
counted = Counter("counted", "Told.", ["by"]).labels("a")
held = Gauge("held", "Told.", multiprocess_mode="livemax")
timed = Histogram("timed", "Told.", buckets=(1.0, 2.0))
"""
WORKER = (
    PROGRAM
    + """
counted.inc(3)
timed.observe(0.5)
timed.observe(1.5)
held.set(float(os.getpid()))
print("counted", flush=True)
time.sleep(600)
"""
)


def started(folder: Path, program: str, *words: str) -> "subprocess.Popen[str]":
    environ = os.environ | {MULTIPROCESS: str(folder)}
    command = [sys.executable, "-c", textwrap.dedent(program), *words]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def counting(tmp_path: Path) -> "Iterator[Callable[..., subprocess.Popen[str]]]":
    """Start processes that have counted what their program says; killed at the end."""
    made: list[subprocess.Popen[str]] = []

    def start(program: str, *words: str) -> "subprocess.Popen[str]":
        process = started(tmp_path, program, *words)
        made.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "counted\n"
        return process

    yield start
    for one in made:
        kill(one)


@pytest.fixture
def worker(
    counting: "Callable[..., subprocess.Popen[str]]",
) -> "Callable[[], subprocess.Popen[str]]":
    """Start processes that have counted 3, and two moments."""
    return lambda: counting(WORKER)


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def told(folder: Path) -> dict[str, float]:
    """Return the samples, by name and value of the label."""
    return {
        "".join([sample.name, *sample.labels.values()]): sample.value
        for metric in MetricsFolder(folder).collect()
        for sample in metric.samples
    }


def sums(processes: int) -> dict[str, float]:
    return {
        "counted_totala": 3.0 * processes,
        "timed_bucket1.0": 1.0 * processes,
        "timed_bucket2.0": 2.0 * processes,
        "timed_bucket+Inf": 2.0 * processes,
        "timed_count": 2.0 * processes,
        "timed_sum": 2.0 * processes,
    }


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


FOLDED = ["counter_folded.db", "histogram_folded.db", "lock"]


def test_what_killed_processes_counted_is_kept_in_two_files_and_their_gauges_go(
    tmp_path: Path, worker: "Callable[[], subprocess.Popen[str]]"
) -> None:
    for lap in (1, 2):
        for one in [worker() for _ in range(3)]:
            kill(one)
        assert told(tmp_path) == sums(3 * lap)
        MetricsFolder(tmp_path).fold()
        assert files(tmp_path) == FOLDED
        assert told(tmp_path) == sums(3 * lap)


def test_who_is_alive_is_left_alone(
    tmp_path: Path, worker: "Callable[[], subprocess.Popen[str]]"
) -> None:
    kill(worker())
    alive = worker()
    MetricsFolder(tmp_path).fold()
    assert told(tmp_path) == {**sums(2), "held": float(alive.pid)}
    assert f"gauge_livemax_{alive.pid}.db" in files(tmp_path)


def test_a_process_that_has_the_number_of_an_ended_one_begins_anew(
    tmp_path: Path, worker: "Callable[[], subprocess.Popen[str]]"
) -> None:
    ended = worker()
    kill(ended)
    for path in tmp_path.glob(f"*_{ended.pid}.db"):
        path.rename(path.with_name(path.name.replace(str(ended.pid), str(os.getpid()))))
    MetricsFolder(tmp_path).fold(os.getpid())
    assert files(tmp_path) == FOLDED
    assert told(tmp_path) == sums(1)


def test_a_process_that_was_killed_as_it_opened_its_file_spoils_nothing(
    tmp_path: Path, worker: "Callable[[], subprocess.Popen[str]]"
) -> None:
    kill(worker())
    (tmp_path / "counter_999999999.db").touch()
    assert told(tmp_path) == sums(1)
    MetricsFolder(tmp_path).fold()
    assert files(tmp_path) == FOLDED
    assert told(tmp_path) == sums(1)


OF_A_VERSION = """
import sys, time
from prometheus_client import Counter, Gauge, Histogram
version, counts = sys.argv[1], float(sys.argv[2])
Gauge("age", "Told.", ["version"], multiprocess_mode="livemax").labels(version).set(1)
if counts:
    Counter("recalls", "Told.", ["state", "version"]).labels("warm", version).inc(counts)
    Histogram("took", "Told.", ["version"], buckets=(1.0,)).labels(version).observe(0.5)
    Counter("requests", "Told.").inc(counts)
print("counted", flush=True)
time.sleep(600)
"""


@pytest.fixture
def of_version(
    counting: "Callable[..., subprocess.Popen[str]]",
) -> "Callable[..., subprocess.Popen[str]]":
    """Start processes that tell of a version, and have counted something of it or nothing."""
    return lambda version, counts=0: counting(OF_A_VERSION, version, str(counts))


def test_a_version_that_no_process_tells_of_is_let_go_of_and_what_has_none_is_not(
    tmp_path: Path, of_version: "Callable[..., subprocess.Popen[str]]"
) -> None:
    folder = MetricsFolder(tmp_path, kept_s=0)
    kill(of_version("v1", 5))
    folder.fold()
    assert told(tmp_path)["recalls_totalwarmv1"] == 5
    kill(of_version("v2", 3))
    folder.fold()
    assert told(tmp_path) == {
        "requests_total": 8,
        "recalls_totalwarmv2": 3,
        "took_bucketv21.0": 1,
        "took_bucketv2+Inf": 1,
        "took_countv2": 1,
        "took_sumv2": 0.5,
    }


def test_a_version_is_kept_for_a_while_after_its_last_process(
    tmp_path: Path, of_version: "Callable[..., subprocess.Popen[str]]"
) -> None:
    kill(of_version("v1", 5))
    for _ in range(2):
        MetricsFolder(tmp_path).fold()
        kill(of_version("v2", 3))
    assert told(tmp_path)["recalls_totalwarmv1"] == 5
    MetricsFolder(tmp_path, kept_s=0.001).fold()
    assert "recalls_totalwarmv1" not in told(tmp_path)


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_version_that_is_served_keeps_what_others_counted_though_nobody_asks_for_it(
    tmp_path: Path, of_version: "Callable[..., subprocess.Popen[str]]", *, is_killed: bool
) -> None:
    folder = MetricsFolder(tmp_path, kept_s=0)
    kill(of_version("v1", 5))
    folder.fold()
    idle = of_version("v1")
    if is_killed:
        kill(idle)
    kill(of_version("v2", 3))
    folder.fold()
    assert told(tmp_path)["recalls_totalwarmv1"] == 5


FOLDER_THAT_DIES = """
import os, signal, sys
from pathlib import Path
from service.metrics_folder import MetricsFolder
left = int(sys.argv[2])
def dying(name):
    real = getattr(Path, name)
    def step(*args, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **options)
    setattr(Path, name, step)
dying("rename"), dying("unlink")
MetricsFolder(Path(sys.argv[1])).fold()
"""


def test_a_fold_that_is_killed_at_any_step_neither_loses_nor_doubles(
    tmp_path: Path, worker: "Callable[[], subprocess.Popen[str]]"
) -> None:
    processes, step, code = 0, 0, -9
    while code != 0:
        processes += 2
        for one in [worker(), worker()]:
            kill(one)
        folder = started(tmp_path, FOLDER_THAT_DIES, str(tmp_path), str(step))
        folder.communicate(timeout=30)
        code = folder.returncode
        assert told(tmp_path) == sums(processes)
        step += 1
    assert step > 10
    assert files(tmp_path) == FOLDED


def test_counts_never_go_down_while_several_fold_what_is_being_killed(
    tmp_path: Path, worker: "Callable[[], subprocess.Popen[str]]"
) -> None:
    is_over = threading.Event()
    seen: list[dict[str, float]] = [sums(0)]

    def fold() -> None:
        while not is_over.is_set():
            MetricsFolder(tmp_path).fold()
            time.sleep(0.005)

    def read() -> None:
        while not is_over.is_set():
            seen.append(told(tmp_path))
            time.sleep(0.005)

    threads = [threading.Thread(target=one) for one in (fold, fold, read)]
    for one in threads:
        one.start()
    try:
        for _ in range(12):
            kill(worker())
    finally:
        is_over.set()
        for one in threads:
            one.join()
    for name in sums(1):
        counts = [one.get(name, 0.0) for one in seen]
        assert counts == sorted(counts), name
    assert told(tmp_path) == sums(12)


HOLDS_THE_LOCK = """
import fcntl, sys, time
lock = open(sys.argv[1], "a")
fcntl.flock(lock, fcntl.LOCK_EX)
print("holds", flush=True)
time.sleep(600)
"""


def test_who_was_stopped_with_the_lock_stops_nobody_else(
    tmp_path: Path, worker: "Callable[[], subprocess.Popen[str]]"
) -> None:
    kill(worker())
    holder = started(tmp_path, HOLDS_THE_LOCK, str(tmp_path / "lock"))
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holds\n"
        for call in (MetricsFolder(tmp_path).fold, lambda: told(tmp_path)):
            begun_s = time.monotonic()
            with pytest.raises(TimeoutError, match="held by another process"):
                call()
            assert time.monotonic() - begun_s < 3
    finally:
        kill(holder)
    MetricsFolder(tmp_path).fold()
    assert told(tmp_path) == sums(1)


def test_a_folder_that_cannot_be_folded_does_not_end_a_loader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MULTIPROCESS, str(tmp_path))
    (tmp_path / "counter_999999999.db").write_bytes(b"x")
    fold_metrics()
    (tmp_path / "counter_999999999.db").unlink()
    fold_metrics()
    assert told(tmp_path) == {}
