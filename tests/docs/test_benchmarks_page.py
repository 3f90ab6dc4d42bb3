from pathlib import Path
from typing import Any

import pytest

from benchmarks.embed_catalogue import MEMORY, SPEED
from benchmarks.recall_http.ratios import TARGETS
from benchmarks.training import rounds

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
OF: dict[str, tuple[Any, ...]] = {
    "recall_http": TARGETS,
    "training": (rounds.TARGETS[0], rounds.OVER_PEERS, rounds.TARGETS[1]),
    "embed_catalogue": (SPEED, MEMORY),
}


@pytest.mark.parametrize("name", OF)
def test_the_targets_of_a_benchmark_are_those_that_it_judges_by(name: str) -> None:
    lines = section(name)
    begins = lines.index("| ratio | target |") + 2
    table = [line for line in lines[begins:] if line.startswith("|")]
    assert table == [f"| {one.name} | {one.told} |" for one in OF[name]]


def section(name: str) -> list[str]:
    """Return the lines of a benchmark's section."""
    text = PAGE.read_text(encoding="utf-8")
    return text.split(f"\n## {name}\n")[1].split("\n## ")[0].splitlines()
