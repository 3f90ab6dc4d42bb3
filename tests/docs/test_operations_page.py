"""The page on operations: formats are those of the code, metrics and settings are there."""

import re
from pathlib import Path
from typing import get_args

from deploy.sizing import Load
from export.contract.manifest import Manifest
from service.snapshot.format import SnapshotFacts
from service.store.scripts import ANNOUNCE_ITEM, WRITE_ITEM

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "operations.md").read_text("utf-8")


def rows(start: str) -> list[list[str]]:
    lines = [line for line in PAGE.splitlines() if line.startswith(f"| {start}")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_numbers_of_formats_are_those_of_the_code() -> None:
    told = {name: number for name, number, _ in rows("`format` of")}
    assert len(told) == 3
    bundle, snapshot = (
        str(get_args(kind.model_fields["format"].annotation)[0])
        for kind in (Manifest, SnapshotFacts)
    )
    log = {
        number.decode()
        for script in (WRITE_ITEM, ANNOUNCE_ITEM)
        for number in re.findall(rb"'format', '(\d+)'", script)
    }
    assert told["`format` of a bundle's `manifest.json`"] == bundle
    assert told["`format` of a snapshot's `manifest.json`"] == snapshot
    assert {told["`format` of an entry of the item log"]} == log


def test_metrics_and_settings_are_there() -> None:
    metrics, settings = (
        (DOCS / f"{name}.md").read_text("utf-8") for name in ("metrics", "settings")
    )
    named = set(re.findall(r"`?(firstsight_[a-z_]+)", PAGE))
    assert named
    assert not [one for one in named if one not in metrics]
    assert not [
        one for one in re.findall(r"`(FIRSTSIGHT_[A-Z_]+)`", PAGE) if f"`{one}`" not in settings
    ]


def test_the_log_that_is_asked_for_is_the_one_that_is_written() -> None:
    from service.store.keys import Keys

    assert f"`XLEN {Keys('fs').log.decode()}`" in PAGE


def test_the_cpu_of_a_recall_is_what_the_command_counts() -> None:
    told = re.search(r"`--recall-ms`, ([0-9.]+) unless", PAGE)
    assert told is not None
    assert float(told[1]) == Load(items=1).recall_ms
