"""The commands of this room: `firstsight init`, `doctor`, `validate`, `train`, `evaluate`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from export.contract.errors import ConfigError
from training.comparison import grouped
from training.config import read_config
from training.doctor import Patient, examine
from training.doctor.report import document, is_serious, lines
from training.evaluate import evaluate as measure
from training.prepare import make_batches, make_encoders, prepare, validator
from training.ranker.run import check_rows
from training.report import reporting, tables
from training.run import Reporter, new_model, run_training
from training.start import start
from training.subject import open_subject

Config = Annotated[Path, typer.Argument(help="The YAML of a run.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="path=value, may be repeated.", metavar="PATH=VALUE"),
]


def init(
    data: Annotated[Path, typer.Argument(help="The folder of interactions, users and items.")],
    out: Annotated[Path, typer.Option(help="The YAML to write.")] = Path("train.yaml"),
    force: Annotated[
        bool, typer.Option("--force", help="Replace the YAML if it is there.")
    ] = False,
) -> None:
    """Write a first config for the tables of a data folder."""
    start(data, out, force=force)
    typer.echo(f"wrote {out}; next: firstsight doctor {out}")


def doctor(
    config: Config,
    overrides: Overrides = None,
    as_json: Annotated[
        Path | None, typer.Option("--json", help="Write the findings to this file.")
    ] = None,
) -> None:
    """Say what is unsound in a config and its data; exit code 1 if something is serious."""
    _writable("--json", as_json)
    found = examine(Patient.of(read_config(config, overrides)))
    typer.echo("\n".join(lines(found)))
    if as_json is not None:
        text = json.dumps(document(config, found), indent=1, allow_nan=False)
        as_json.write_text(text + "\n", encoding="utf-8")
    if is_serious(found):
        raise typer.Exit(1)


def validate(config: Config, overrides: Overrides = None) -> None:
    """Say what is wrong with a config and its data, without training."""
    prepared = prepare(read_config(config, overrides))
    encoders = make_encoders(prepared)
    make_batches(prepared, encoders)
    validator(prepared, encoders)
    check_rows(prepared)
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
    runs: Annotated[
        list[Path],
        typer.Argument(help="A run or a bundle, or several that differ in their seed."),
    ],
    data: Annotated[
        Path | None, typer.Option(help="The data folder, if it is not the one of training.")
    ] = None,
    baseline: Annotated[
        list[Path] | None,
        typer.Option(help="Another run to compare with; may be repeated, also with its seeds."),
    ] = None,
    as_json: Annotated[
        Path | None, typer.Option("--json", help="Write the figures to this file.")
    ] = None,
    as_html: Annotated[
        Path | None, typer.Option("--html", help="Write a report with plots to this file.")
    ] = None,
) -> None:
    """Measure runs or bundles on their test rows, beside others and untrained baselines."""
    _writable("--json", as_json)
    _writable("--html", as_html)
    subjects = [open_subject(one, data) for one in runs]
    found = measure(subjects, grouped([open_subject(one, data) for one in baseline or []]))
    console = Console(width=120)
    for table in tables(found):
        console.print(table)
    console.print(f"popularity: counts of {found['popularity']}, chosen on validation")
    if as_json is not None:
        text = json.dumps(found, indent=1, allow_nan=False)
        as_json.write_text(text + "\n", encoding="utf-8")
    if as_html is not None:
        from training.page import page  # matplotlib loads slowly, and only a report needs it

        as_html.write_text(page(found), encoding="utf-8")


def _writable(option: str, path: Path | None) -> None:
    if path is not None and not path.parent.is_dir():
        raise ConfigError(f"{option} {path}: no such folder")
