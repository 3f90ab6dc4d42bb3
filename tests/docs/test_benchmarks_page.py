from pathlib import Path
from typing import Any

import pytest

from benchmarks import memory
from benchmarks.__main__ import RUNS
from benchmarks.embed_catalogue import MEMORY, SPEED
from benchmarks.freshness.__main__ import targets
from benchmarks.quality.page import part_of
from benchmarks.recall_http.ratios import TARGETS
from benchmarks.startup.__main__ import TARGETS as STARTUP
from benchmarks.targets import Target
from benchmarks.training import rounds

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
OF: dict[str, tuple[Target[Any], ...]] = {
    "recall_http": TARGETS,
    "memory": memory.TARGETS,
    "startup": STARTUP,
    "freshness": targets(),
    "training": (rounds.TARGETS[0], rounds.OVER_PEERS, rounds.TARGETS[1], rounds.MEMORY),
    "embed_catalogue": (SPEED, MEMORY),
}


@pytest.mark.parametrize("name", OF)
def test_the_targets_of_a_benchmark_are_those_that_it_judges_by(name: str) -> None:
    lines = section(name)
    of = OF[name]
    begins = lines.index("| ratio | target |") + 2
    table = [line for line in lines[begins:] if line.startswith("|")]
    assert table == [f"| {one.name} | {one.told} |" for one in of]


@pytest.mark.parametrize("name", RUNS)
def test_each_benchmark_of_make_bench_is_told_with_its_command(name: str) -> None:
    assert [line for line in section(name) if line.startswith(f"python -m benchmarks.{name} ")]


def test_there_is_a_place_for_what_was_found() -> None:
    assert part_of(PAGE.read_text(encoding="utf-8"), "benchmarks", PAGE).strip()


def section(name: str) -> list[str]:
    """Return the lines of a benchmark's section."""
    text = PAGE.read_text(encoding="utf-8")
    return text.split(f"\n## {name}\n")[1].split("\n## ")[0].splitlines()
