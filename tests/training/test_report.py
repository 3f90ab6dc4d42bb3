import io
from typing import Any

from rich.console import Console

from training.report import difference, reporting, tables

EPOCH = {"epoch": 2, "loss": 1.5, "warm": 0.25, "cold_item": 0.5, "selected": 0.375, "states": {}}


def shown(*, terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=60)
    with reporting(console) as reporter:
        reporter.note("a note with [brackets] that is longer than the sixty columns there are")
        reporter.step(1, 4, 2.0)
        reporter.epoch(EPOCH)
    text = console.file
    assert isinstance(text, io.StringIO)
    return text.getvalue()


def test_away_from_a_terminal_there_are_plain_whole_lines() -> None:
    note, epoch = shown(terminal=False).splitlines()
    assert note == "a note with [brackets] that is longer than the sixty columns there are"
    recall = "validation recall@100: warm 0.2500, cold_item 0.5000"
    assert epoch == f"epoch 2: loss 1.5000; {recall}; selected 0.3750"


def test_on_a_terminal_there_is_a_bar() -> None:
    text = shown(terminal=True)
    assert "1/4" in text
    assert "epoch 2" in text
    assert "[brackets]" in text


def printed(found: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=120)
    for table in tables(found):
        console.print(table)
    text = console.file
    assert isinstance(text, io.StringIO)
    return text.getvalue()


def document(runs: list[str]) -> dict[str, Any]:
    """Return a small evaluation: recall on the warm slice and one bucket, and a rival."""
    lists = {"coverage@100": 0.75, "cold_share@100": 0.125, "diversity@100": None}
    return {
        "runs": runs,
        "slices": {
            "model": {"warm": {"recall@100": 0.5, "ndcg@100": 0.25}, "item 1-5": {"recall@100": 1}},
            "runs/[b]": {"warm": {"recall@100": 0.1, "ndcg@100": 0.05}, "all": {}},
        },
        "rows": {"model": {"warm": {"auc": None, "gauc": 0.5}}, "runs/[b]": {}},
        "ranker": {},
        "lists": {"model": lists | {"cold_candidates": 0.1}},
        "paired": {
            "runs/[b]": {"warm": {"difference": 0.4, "low": 0.3, "high": 0.5, "won": 0.995}}
        },
    }


def test_a_table_names_the_run_and_leaves_what_cannot_be_told_blank() -> None:
    text = printed(document(["runs/[a]"]))
    for part in ("runs/[a]", "runs/[b]", "0.5000 / 0.2500", "0.1000 / 0.0500", "- / 0.5000"):
        assert part in text
    assert "cold_item" not in text


def test_tables_hold_buckets_lists_and_paired_differences() -> None:
    text = printed(document(["runs/[a]", "runs/c"]))
    for part in ("runs/[a] and 1 more", "item 1-5", "0.7500", "are 0.1000 of the catalogue"):
        assert part in text
    assert "+0.400, won 100%" in text
    assert "+0.300 to +0.500" in text


def test_where_no_recall_differs_nobody_won() -> None:
    level = {"difference": 0.0, "low": 0.0, "high": 0.0, "won": 0.5}
    assert difference(level) == "—"
    assert difference(level | {"low": -0.1, "high": 0.1}) == "+0.000, won 50%\n-0.100 to +0.100"
    found = document(["runs/[a]"])
    found["paired"]["runs/[b]"]["warm"] = level
    text = printed(found)
    assert "—" in text
    assert "won 50%" not in text
