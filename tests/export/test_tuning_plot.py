import re
from typing import Any

import pytest

from export.contract.manifest import IndexReport
from export.tuning_plot import recall_by_cost, told

NUMBER = r"(-?[\d.]+)"
Points = list[tuple[float, float]]


def rung(M: int, ef: int, near: float, given: float | None, cpu_us: float) -> dict[str, Any]:
    settings = {"kind": "hnsw", "M": M, "ef_construction": 100, "ef": ef, "seed": 1}
    return settings | {"near": near, "given": given, "cpu_us": cpu_us}


CURVE = [
    rung(16, 100, 0.90, 0.80, 40),
    rung(16, 200, 0.95, 0.85, 80),
    rung(24, 100, 0.999, 0.992, 60),
]


def report(curve: list[dict[str, Any]]) -> IndexReport:
    recall = min(curve[-1]["near"], curve[-1]["given"] or 1)
    settings = {name: curve[-1][name] for name in ("kind", "M", "ef_construction", "ef", "seed")}
    return IndexReport(
        settings=settings, target_recall=0.99, measured_recall=recall, k=100, curve=curve
    )


def lines_of(svg: str) -> list[Points]:
    """Return the points of each line with markers, as they lie in the picture."""
    groups = re.findall(r'<g clip-path="[^"]+">(.*?)</g>', svg, re.DOTALL)
    found = [re.findall(rf'<use [^>]*x="{NUMBER}" y="{NUMBER}"', group) for group in groups]
    return [[(float(x), float(y)) for x, y in points] for points in found if points]


def ring_of(svg: str) -> tuple[float, float]:
    """Return the middle of the ring."""
    path = re.search(r'id="PathCollection_1">\s*<path d="([^"]+)"', svg)
    assert path is not None
    points = [list(map(float, one)) for one in re.findall(rf"{NUMBER} {NUMBER}", path[1])]
    x, y = zip(*points, strict=True)
    return (min(x) + max(x)) / 2, (min(y) + max(y)) / 2


def test_each_setting_is_a_point_for_each_kind_of_queries_in_a_line_of_its_graph() -> None:
    svg = recall_by_cost(report(CURVE), "ef")
    assert [len(line) for line in lines_of(svg)] == [2, 2, 1, 1]
    for graph in ("M 16", "M 24"):
        for queries in ("made queries", "users' vectors"):
            assert f">{graph}, ef_construction 100: {queries}</text>" in svg
    near, given, *_ = lines_of(svg)
    assert [x for x, _ in near] == [x for x, _ in given]
    assert near[0][0] < near[1][0], "what costs more is further right"
    assert near[0][1] > near[1][1], "what finds more is further up"
    assert near[0][1] < given[0][1]


def test_the_ring_is_where_the_chosen_setting_is_measured_lower() -> None:
    svg = recall_by_cost(report(CURVE), "ef")
    assert ring_of(svg) == pytest.approx(lines_of(svg)[-1][0], abs=0.01)
    assert ">chosen: ef 100</text>" in svg
    assert ">target 0.99</text>" in svg


def test_without_users_there_is_a_line_of_made_queries_alone() -> None:
    svg = recall_by_cost(report([rung(16, 100, 0.995, None, 40)]), "ef")
    assert [len(line) for line in lines_of(svg)] == [1]
    assert "users' vectors" not in svg


def test_settings_are_told_without_what_is_the_same_for_all_and_what_was_measured() -> None:
    assert told(CURVE[0]) == "M 16, ef_construction 100, ef 100"
    assert told(CURVE[0], without="ef") == "M 16, ef_construction 100"
