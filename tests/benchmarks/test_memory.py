from pathlib import Path

import pytest

from benchmarks.memory import BARE, BASE, KINDS, TARGETS, WORKERS, Options, Round, run, told
from benchmarks.resident import MB, Memory
from benchmarks.targets import ratios


def made(one_worker_mb: int) -> Round:
    seen = {BARE: Memory(90 * MB, 10 * MB)}
    for kind in KINDS:
        seen[f"{kind} 1, {BASE} items"] = Memory(100 * MB, 0)
        seen |= {f"{kind} {n}": Memory((one_worker_mb + 60 * (n - 1)) * MB, 0) for n in WORKERS}
    return Round(seen=seen)


def test_ratios_and_bytes_an_item_are_those_of_made_up_rounds() -> None:
    rounds = [made(mb) for mb in (200, 265, 300)]
    found = {one["ratio"]: (one["median"], one["is"]) for one in ratios(TARGETS, rounds)}
    assert found["hnsw: one worker over 1.15 x bare hnswlib + 150 MB"] == (1.0, "met")
    assert found["compact: two workers over one"] == (round(325 / 265, 3), "met")
    assert rounds[0].bytes_an_item("hnsw", 101_000) == pytest.approx(1000)


def test_every_figure_is_told() -> None:
    figures = told(Options(rounds=1), [made(200)])
    assert [one["ratio"] for one in figures["ratios"]] == [target.name for target in TARGETS]
    assert figures["bytes an item, one worker"].keys() == set(KINDS)
    assert figures["memory (MB)"][BARE] == {"total": 100.0, "anonymous": 90.0, "files": 10.0}


def test_one_small_round_measures_the_bare_graph_and_services(tmp_path: Path) -> None:
    options = Options(items=300, rounds=1, seconds=0.1, users=40, kinds=("compact",), workers=(2,))
    [found] = run(tmp_path, options)
    assert found.seen.keys() == {BARE, f"compact 1, {BASE} items", "compact 2"}
    assert found.held(BARE) > 20 * MB
    assert found.held("compact 2") > found.held(f"compact 1, {BASE} items") > 2 * found.held(BARE)
