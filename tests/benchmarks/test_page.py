import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.page import write
from benchmarks.targets import Target, ratios
from export.contract.errors import ConfigError

MARKED = "before\n<!-- benchmarks: begin -->\nold\n<!-- benchmarks: end -->\nafter\n"
HALF = Target[float]("of the floor", lambda found: found, 0.5)
MACHINE = {"cpu": "a CPU", "cores": 2, "python": "3.11"}


def found(name: str, *rounds: float) -> dict[str, Any]:
    return {
        "name": name,
        "date": "2026-01-02T03:04:05+00:00",
        "commit": "abc1234+",
        "load before and after": [0.5, 2.0],
        "machine": MACHINE,
        "parameters": {"items": "300", "work": "/somewhere"},
        "figures": {"ratios": ratios([HALF], rounds)},
    }


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "benchmarks.md"
    path.write_text(MARKED)
    return path


def test_every_ratio_stands_between_the_marks_with_machine_commit_and_date(
    tmp_path: Path, page: Path
) -> None:
    for one in (found("startup", 0.4, 0.7, 0.6), found("memory", 0.5)):
        (tmp_path / f"{one['name']}.json").write_text(json.dumps(one))
    write(tmp_path, page)
    text = page.read_text()
    lines = text.splitlines()
    assert (lines[0], lines[-1], "old" in text) == ("before", "after", False)
    assert lines.count("Machine: a CPU, cores 2, python 3.11.") == 1
    assert "| memory | items 300 | 2026-01-02T03:04:05+00:00 | abc1234+ | 0.5, 2.0 |" in lines
    assert "| memory | of the floor | 0.5 | 0.5 to 0.5 | at most 0.5 | met |" in lines
    assert "| startup | of the floor | 0.6 | 0.4 to 0.7 | at most 0.5 | **missed** |" in lines
    assert "/somewhere" not in text
    write(tmp_path, page)
    assert page.read_text() == text


def test_a_table_of_sizes_tells_what_is_measured_and_what_is_computed(
    tmp_path: Path, page: Path
) -> None:
    one = found("scale", 0.5)
    one["figures"]["laws, for n items"] = {"memory (GB)": "1 + 2 n"}
    one["figures"]["sizing"] = [
        {"items": 1000, "is": "measured", "memory (GB)": 2001.0, "ms": 2.5},
        {"items": 10**9, "is": "computed", "memory (GB)": 2e9},
    ]
    (tmp_path / "scale.json").write_text(json.dumps(one))
    write(tmp_path, page)
    lines = page.read_text().splitlines()
    head = (
        "| of a catalogue | for n items | 1,000 items, measured | 1,000,000,000 items, computed |"
    )
    at = lines.index(head)
    assert lines[at + 2] == "| memory (GB) | 1 + 2 n | 2,001.0 | 2,000,000,000.0 |"
    assert lines[at + 3] == "| ms |  | 2.5 |  |"


def test_nothing_found_leaves_the_page_as_it_is(tmp_path: Path, page: Path) -> None:
    with pytest.raises(ConfigError, match="expected files of python -m benchmarks"):
        write(tmp_path, page)
    assert page.read_text() == MARKED
