from pathlib import Path

from benchmarks.recall_http.ratios import TARGETS

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def test_the_targets_of_recall_http_are_those_that_it_judges_by() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    table = lines[lines.index("| ratio | target |") + 2 :]
    assert table == [f"| {one.name} | {one.told} |" for one in TARGETS]
