"""The page of guarantees names tests that exist, in every row."""

import ast
import re
from pathlib import Path

import pytest

from benchmarks.soak.scenarios import SCENARIOS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guarantees.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py::\w+)`", PAGE)))
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line]


@pytest.mark.parametrize("named", NAMED)
def test_a_named_test_exists(named: str) -> None:
    path, _, name = named.partition("::")
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    made = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    assert name in {node.name for node in made}, f"{path} has no {name}"


@pytest.mark.parametrize("row", ROWS, ids=[row[2:40] for row in ROWS])
def test_every_row_names_a_test(row: str) -> None:
    is_head = row.startswith(("| promise |", "| fault |"))
    assert is_head or re.search(r"`tests/[\w/]+\.py::\w+`", row)


def test_no_test_is_named_in_a_way_that_is_not_looked_up() -> None:
    assert PAGE.count("::") == len(re.findall(r"`tests/[\w/]+\.py::\w+`", PAGE))


@pytest.mark.parametrize("name", [kind.name for kind in SCENARIOS])
def test_every_long_run_proves_something(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_the_page_of_long_runs_has_a_place_for_its_results() -> None:
    page = (ROOT / "docs" / "soak.md").read_text("utf-8")
    assert page.count("<!-- soak: begin -->") == page.count("<!-- soak: end -->") == 1
