import io

from rich.console import Console

from training.report import reporting, tables

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


def test_a_table_names_the_run_and_leaves_what_cannot_be_told_blank() -> None:
    slices = {
        "model": {"warm": {"recall@100": 0.5, "ndcg@100": 0.25}},
        "random": {"warm": {"recall@100": 0.1, "ndcg@100": 0.05}, "all": {}},
    }
    rows = {"model": {"warm": {"auc": None, "gauc": 0.5}}, "random": {}}
    console = Console(file=io.StringIO(), width=100)
    for table in tables({"slices": slices, "rows": rows}, name="runs/[mine]"):
        console.print(table)
    text = console.file
    assert isinstance(text, io.StringIO)
    printed = text.getvalue()
    for part in ("runs/[mine]", "0.5000 / 0.2500", "0.1000 / 0.0500", "- / 0.5000"):
        assert part in printed
    assert "cold_item" not in printed
