"""The commands of this room: `firstsight validate`, `train` and `evaluate`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from export.contract.errors import ConfigError
from training.config import read_config
from training.evaluate import evaluate as measure
from training.prepare import make_batches, make_encoders, prepare, validator
from training.report import reporting, tables
from training.run import Reporter, new_model, run_training
from training.subject import open_subject

Config = Annotated[Path, typer.Argument(help="The YAML of a run.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="path=value, may be repeated.", metavar="PATH=VALUE"),
]


def validate(config: Config, overrides: Overrides = None) -> None:
    """Say what is wrong with a config and its data, without training."""
    prepared = prepare(read_config(config, overrides))
    encoders = make_encoders(prepared)
    make_batches(prepared, encoders)
    validator(prepared, encoders)
    new_model(prepared, Reporter())
    data, split = prepared.data, prepared.split
    rows, users, items = len(data.interactions), len(data.users), len(data.items)
    left_out = {reason: count for reason, count in data.dropped.items() if count}
    typer.echo(f"{rows} interactions, {users} users, {items} items; left out: {left_out or 'none'}")
    typer.echo(f"rows: {split.counts()}")
    typer.echo(f"statistics: {'; '.join(prepared.schema.rules.values())}")
    typer.echo(f"{config}: good")


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
        list[Path] | None,
        typer.Option(help="Another run, measured on the same rows; may be repeated."),
    ] = None,
    as_json: Annotated[
        Path | None, typer.Option("--json", help="Write the figures to this file.")
    ] = None,
) -> None:
    """Measure a run or a bundle on its test rows, beside untrained baselines."""
    if as_json is not None and not as_json.parent.is_dir():
        raise ConfigError(f"--json {as_json}: no such folder")
    subject = open_subject(run, data)
    rivals = {str(one): open_subject(one, data).on_rows_of(subject) for one in baseline or []}
    found = measure(subject)
    others = {name: measure(rival) for name, rival in rivals.items()}
    console = Console(width=120)
    for table in tables(_beside(found, others), name=str(run)):
        console.print(table)
    console.print(f"popularity: counts of {found['popularity']}, chosen on validation")
    if as_json is not None:
        document = {**found, "baselines": others} if others else found
        as_json.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _beside(found: dict[str, Any], others: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the figures with those of other runs among them."""
    merged = {part: dict(found[part]) for part in ("slices", "rows")}
    for name, other in others.items():
        for part in merged:
            merged[part][name] = other[part]["model"]
    return merged
