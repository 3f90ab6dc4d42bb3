from pathlib import Path

import pytest

from benchmarks.scale.__main__ import COMPUTED, grown, of_a_catalogue, of_a_log
from benchmarks.scale.rows import Learned, learned
from benchmarks.scale.sizes import KINDS, Options, Size, Taken, measured


def made(items: int) -> Size:
    taken = Taken(
        build_cpu_s=items * 1e-4,
        start_cpu_s=2.0 + items * 1e-6,
        memory_bytes=200e6 + 1000.0 * items,
        search_us=100.0 * items**0.1,
        recall_ms=1.0,
        fresh_ms=3.0,
    )
    return Size(taken=dict.fromkeys(KINDS, taken), vocabulary_bytes=200.0 * items)


def test_what_is_beyond_the_measured_sizes_is_computed_from_their_laws_and_says_so() -> None:
    found = grown("items", of_a_catalogue(), {n: made(n) for n in (1000, 10_000)})
    assert [(one["n"], one["is"]) for one in found["sizes"]] == [
        *((n, "measured") for n in (1000, 10_000)),
        *((n, "computed") for n in COMPUTED),
    ]
    small, *_, billion = found["sizes"]
    assert small["hnsw: memory, one worker (GB)"] == 0.201
    assert billion["hnsw: memory, one worker (GB)"] == 1000
    assert billion["compact: start (CPU s)"] == 1000
    assert billion["hnsw: build, one thread (CPU s)"] == 100_000
    assert billion["hnsw: search (us of CPU)"] == pytest.approx(794, rel=1e-2)
    grows = {one.name for one in of_a_catalogue() if one.kind is not None}
    assert found["laws"].keys() == grows
    assert {"n", "is"} | grows == billion.keys() < small.keys()


def test_what_a_log_takes_is_told_by_its_rows() -> None:
    logs = {
        n: Learned(encoded_s=n * 1e-6, epoch_s=n * 2e-5, memory_bytes=4e8 + 10 * n)
        for n in (10_000, 100_000)
    }
    found = grown("rows", of_a_log(), logs)
    assert found["laws"]["training: memory in no file (GB)"] == "0.4 + 1e-08 n"
    assert found["sizes"][-1]["training: encoding, all cores (s)"] == 1000


def test_one_small_size_has_every_figure(tmp_path: Path) -> None:
    found = measured(tmp_path, 2500, Options(seconds=0.2, users=40, kinds=("compact",)))
    assert found.taken.keys() == {"compact"}
    assert all(value > 0 for value in found.taken["compact"].model_dump().values())
    assert found.vocabulary_bytes > 2500 * 10


def test_one_small_log_has_every_figure(tmp_path: Path) -> None:
    assert learned(tmp_path, 2000).memory_bytes > 1e7
