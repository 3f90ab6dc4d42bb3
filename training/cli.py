"""The commands of this room: `firstsight validate`, `train` and `evaluate`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from training.config import read_config
from training.data import read_data
from training.evaluate import evaluate as measure
from training.evaluate import open_subject
from training.report import reporting, tables
from training.run import run_training
from training.split import make_split

Config = Annotated[Path, typer.Argument(help="The YAML of a run.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="path=value, may be repeated.", metavar="PATH=VALUE"),
]


def validate(config: Config, overrides: Overrides = None) -> None:
    """Say what is wrong with a config and its data, without training."""
    checked = read_config(config, overrides)
    data = read_data(checked.data, checked.user, checked.item)
    split = make_split(checked.split, data, checked.data.folder)
    size = (
        f"{len(data.interactions)} interactions, {len(data.users)} users, {len(data.items)} items"
    )
    left_out = {reason: rows for reason, rows in data.dropped.items() if rows}
    typer.echo(f"{config}: good. {size}; rows by part {split.counts()}; left out {left_out or 0}")


def train(
    config: Config,
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
    overrides: Overrides = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a run that was stopped.")
    ] = False,
) -> None:
    """Train a run from a config."""
    checked = read_config(config, overrides)
    with reporting(Console()) as reporter:
        layout = run_training(checked, out, resume=resume, reporter=reporter)
    typer.echo(f"wrote {layout.folder}")


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run or a bundle.")],
    data: Annotated[
        Path | None, typer.Option(help="The data folder, if it is not the one of training.")
    ] = None,
    baseline: Annotated[
        list[Path] | None, typer.Option(help="Another run to set beside it, may be repeated.")
    ] = None,
    as_json: Annotated[
        Path | None, typer.Option("--json", help="Write the figures to this file.")
    ] = None,
) -> None:
    """Measure a run or a bundle on its test rows, beside untrained baselines."""
    found = measure(open_subject(run, data))
    others = {str(one): measure(open_subject(one, data)) for one in baseline or []}
    console = Console(width=120)
    for table in tables(_beside(found, others), name=str(run)):
        console.print(table)
    console.print(f"popularity: counts of {found['popularity']}, chosen on validation")
    if as_json is not None:
        document = {**found, "baselines": others} if others else found
        as_json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _beside(found: dict[str, Any], others: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the figures with those of other runs among them."""
    merged = {part: dict(found[part]) for part in ("slices", "rows")}
    for name, other in others.items():
        for part in merged:
            merged[part][name] = other[part]["model"]
    return merged
