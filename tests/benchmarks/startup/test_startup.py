import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.recall_http.load import Failed
from benchmarks.startup.__main__ import TARGETS, told
from benchmarks.startup.rounds import Bare, Options, Round, check_restored, run

BARE = Bare(interpreter=0.1, imports=0.5, load_index=0.2, checksums=0.2, all=1.0, cpu=0.8)


def made(ready_s: float, livez_ms: float, twin_ms: float) -> Round:
    return Round(bare=BARE, ready_s=ready_s, cpu_s=1.6, livez_ms=livez_ms, twin_ms=twin_ms)


def test_a_start_is_held_against_its_bare_parts_and_a_stall_against_the_twin() -> None:
    found = told([made(1.4, 40, 1), made(1.5, 60, 80), made(2.0, 100, 1)])
    start, stall = found["ratios"]
    assert (start["median"], start["most"], start["is"]) == (1.5, 2.0, "met")
    assert (stall["least"], stall["median"], stall["most"]) == (0.75, 0.8, 2.0)
    assert found["CPU over that of the bare parts"] == 2.0
    assert found["bare (s)"]["all"] == 1.0


def test_one_small_round_gives_every_figure(tmp_path: Path) -> None:
    [found] = run(tmp_path, Options(items=300, rounds=1, seconds=0.3, posted=20))
    parts = found.bare
    assert parts.all == pytest.approx(
        parts.interpreter + parts.imports + parts.load_index + parts.checksums
    )
    assert found.ready_s > 0.1
    assert found.cpu_s > parts.cpu / 2
    assert min(found.livez_ms, found.twin_ms) > 0
    assert [one["ratio"] for one in told([found])["ratios"]] == [one.name for one in TARGETS]


def test_a_start_from_no_snapshot_is_no_benchmark(tmp_path: Path) -> None:
    log = tmp_path / "serve.log"
    log.write_text('{"message": "generation loaded"}')
    with pytest.raises(Failed, match="from no snapshot: .*generation loaded"):
        check_restored(log)
    log.write_text('{"message": "snapshot restored"}')
    check_restored(log)


def test_the_libraries_of_the_bare_parts_are_none_of_ours() -> None:
    command = [sys.executable, "-m", "benchmarks.startup.bare", "libraries"]
    said = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert {"fastapi", "hnswlib", "onnxruntime", "pyarrow"} <= set(said)
    assert not [one for one in said if one.partition(".")[0] in ("service", "export", "json")]
