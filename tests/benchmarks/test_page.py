import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.page import write
from benchmarks.plots import of_target
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
    sizes = [
        {"n": 1000, "is": "measured", "hnsw: memory (GB)": 2001.0, "hnsw: ms": 2.5},
        {"n": 10**9, "is": "computed", "hnsw: memory (GB)": 2e9},
    ]
    laws = {"hnsw: memory (GB)": "1 + 2 n"}
    one["figures"]["growth"] = [{"of": "items", "laws": laws, "sizes": sizes}]
    (tmp_path / "scale.json").write_text(json.dumps(one))
    write(tmp_path, page)
    lines = page.read_text().splitlines()
    head = "| what is taken | for n items | 1,000 items, measured | 1,000,000,000 items, computed |"
    at = lines.index(head)
    assert lines[at + 2] == "| hnsw: memory (GB) | 1 + 2 n | 2,001.0 | 2,000,000,000.0 |"
    assert lines[at + 3] == "| hnsw: ms |  | 2.5 |  |"


def test_nothing_found_leaves_the_page_as_it_is(tmp_path: Path, page: Path) -> None:
    with pytest.raises(ConfigError, match="expected files of python -m benchmarks"):
        write(tmp_path, page)
    assert page.read_text() == MARKED


def test_plots_stand_beside_the_page_and_are_linked(tmp_path: Path, page: Path) -> None:
    scale = found("scale", 0.5)
    sizes = [{"n": n, "is": "measured", "hnsw: build (s)": n / 2} for n in (10, 100)]
    scale["figures"]["growth"] = [
        {"of": of, "laws": dict[str, str](), "sizes": sizes} for of in ("items", "rows")
    ]
    at = {"0.95": {"recall": 0.951, "cpu_us": 20.0}, "0.99": None}
    index = found("index", 0.25, 0.5)
    index["figures"]["rivals"] = {"a graph": {"at": at}}
    for one in (scale, index):
        (tmp_path / f"{one['name']}.json").write_text(json.dumps(one))
    write(tmp_path, page)
    shown = re.findall(r"!\[.+?\]\((.+?)\)", page.read_text())
    assert shown == [f"benchmarks/{one}.svg" for one in ("targets", "index", "items", "rows")]
    targets, curves, growth, of_rows = ((tmp_path / one).read_text() for one in shown)
    assert "index: of the floor" in targets
    assert "a graph" in curves
    assert "build (s)" in growth
    assert ">rows<" in of_rows


@pytest.mark.parametrize(
    ("target", "value", "expected"),
    [("at most 2", 1.0, 0.5), ("at least 0.8", 0.4, 2.0), ("at least 0.8", 1.6, 0.5)],
)
def test_a_ratio_is_met_on_the_same_side_whatever_its_target(
    target: str, value: float, expected: float
) -> None:
    assert of_target({"target": target, "median": value}, "median") == pytest.approx(expected)
