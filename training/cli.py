"""The commands of this room, from `init` to `tune`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from export.contract.errors import ConfigError
from training.compare import compare as run_comparison
from training.comparison import grouped
from training.config import TrainConfig, read_config
from training.doctor import Patient, examine
from training.doctor.report import document, is_serious, lines
from training.easyrec import Request, convert
from training.evaluate import evaluate as measure
from training.factors import require_factors, write_factors
from training.prepare import make_batches, make_encoders, prepare, validator
from training.presets import names
from training.ranker.run import check_rows
from training.report import reporting, tables, told_choice
from training.run import Reporter, new_model, run_training
from training.span import read_searched
from training.start import start
from training.subject import open_subject
from training.variation import read_variation, varied

Config = Annotated[Path, typer.Argument(help="The YAML of a run.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="path=value, may be repeated.", metavar="PATH=VALUE"),
]
Figures = Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")]
Report = Annotated[
    Path | None, typer.Option("--html", help="Write a report with plots to this file.")
]
Preset = Annotated[
    str | None, typer.Option(help=f"Take the model of this preset: one of {', '.join(names())}.")
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


def import_easyrec(
    source: Annotated[Path, typer.Argument(help="EasyRec's configuration.", metavar="FILE.config")],
    out: Annotated[Path, typer.Option(help="The YAML to write.")] = Path("train.yaml"),
    data: Annotated[Path, typer.Option(help="The folder of the three tables.")] = Path("data"),
    samples: Annotated[
        Path | None,
        typer.Option(help="EasyRec's flat samples, to be written as three tables into --data."),
    ] = None,
    user_id: Annotated[str | None, typer.Option(help="The column of the user's id.")] = None,
    item_id: Annotated[str | None, typer.Option(help="The column of the item's id.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the YAML if it is there.")
    ] = False,
) -> None:
    """Turn an EasyRec configuration into a YAML; every field is mapped, noted or refused."""
    for line in convert(Request(source, out, data, samples, user_id, item_id, force)):
        typer.echo(line)


def doctor(
    config: Config,
    overrides: Overrides = None,
    as_json: Annotated[
        Path | None, typer.Option("--json", help="Write the findings to this file.")
    ] = None,
) -> None:
    """Say what is unsound in a config and its data; exit code 1 if something is serious."""
    _writable("--json", as_json)
    checked = read_config(config, overrides)
    require_factors(checked)
    found = examine(Patient.of(checked))
    typer.echo("\n".join(lines(found)))
    if as_json is not None:
        text = json.dumps(document(config, found), indent=1, allow_nan=False)
        as_json.write_text(text + "\n", encoding="utf-8")
    if is_serious(found):
        raise typer.Exit(1)


def validate(config: Config, overrides: Overrides = None) -> None:
    """Say what is wrong with a config and its data, without training."""
    checked = read_config(config, overrides)
    require_factors(checked)
    prepared = prepare(checked)
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


def factors(
    config: Config,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write to; else the data folder.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Fit factors of users and items to the train rows of a config."""
    checked = read_config(config, overrides)
    folder = checked.data.folder if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    write_factors(checked, folder, typer.echo)


def train(
    config: Config,
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
    overrides: Overrides = None,
    preset: Preset = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a run that was stopped.")
    ] = False,
    grow_from: Annotated[
        Path | None,
        typer.Option("--from", help="A finished run to go on from, on new data.", metavar="RUN"),
    ] = None,
) -> None:
    """Train a run from a config."""
    checked = read_config(config, overrides, preset=preset)
    with reporting(Console()) as reporter:
        layout = run_training(checked, out, resume=resume, reporter=reporter, grow_from=grow_from)
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
    as_json: Figures = None,
    as_html: Report = None,
) -> None:
    """Measure runs or bundles on their test rows, beside others and untrained baselines."""
    _writable("--json", as_json)
    _writable("--html", as_html)
    subjects = [open_subject(one, data) for one in runs]
    found = measure(subjects, grouped([open_subject(one, data) for one in baseline or []]))
    _show(found, as_json, as_html)


def compare(
    config: Config,
    out: Annotated[Path, typer.Option(help="The folder of the runs, NAME-SEED each.")],
    presets: Annotated[
        str | None, typer.Option(help=f"Of {', '.join(names())}; commas between. The first leads.")
    ] = None,
    vary: Annotated[
        str | None,
        typer.Option(help="One option's values instead of presets.", metavar="PATH=VALUE,..."),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds of training, commas between.")] = "1,2,3",
    overrides: Overrides = None,
    as_json: Figures = None,
    as_html: Report = None,
) -> None:
    """Train presets, or a config with each value of an option, alike, and measure them."""
    _writable("--json", as_json)
    _writable("--html", as_html)
    if (presets is None) == (vary is None):
        raise ConfigError("what is compared? Give --presets or --vary, one of the two")
    beside: dict[str, Any] = {}
    if vary is not None:
        variation = read_variation(vary)
        configs, beside = varied(config, overrides, variation), {"vary": variation.document()}
    else:
        configs = _of_presets(config, overrides, presets or "")
    with reporting(Console()) as reporter:
        found = run_comparison(configs, _whole_numbers("--seeds", seeds), out, reporter)
    _show(found | beside, as_json, as_html)


def tune(
    config: Config,
    trials: Annotated[int, typer.Option(min=1, help="How many, those made before included.")],
    out: Annotated[Path, typer.Option(help="The folder of the search.")],
    search: Annotated[
        list[str] | None,
        typer.Option(
            help="What to search, in place of what the parts of the config say; may be repeated.",
            metavar="PATH=LOW..HIGH",
        ),
    ] = None,
    overrides: Overrides = None,
    preset: Preset = None,
) -> None:
    """Search the options that validate best; a stopped search goes on where it was."""
    from training.tune import search_space  # optuna loads slowly, and only a search needs it
    from training.tune import tune as run_search

    checked = read_config(config, overrides, preset=preset)
    space = dict(map(read_searched, search)) if search else search_space(checked)
    run_search(checked, space, trials, out, typer.echo)
    typer.echo(f"wrote {out / 'best.yaml'}; next: firstsight train {out / 'best.yaml'} --out RUN")


def _of_presets(config: Path, overrides: list[str] | None, presets: str) -> dict[str, TrainConfig]:
    asked = [one.strip() for one in presets.split(",")]
    if twice := [one for one in asked if asked.count(one) > 1]:
        raise ConfigError(f"--presets: {twice[0]!r} stands twice")
    return {name: read_config(config, overrides, preset=name) for name in asked}


def _show(found: dict[str, Any], as_json: Path | None, as_html: Path | None) -> None:
    """Print an evaluation's tables, and write it where asked."""
    console = Console(width=120)
    for table in tables(found):
        console.print(table)
    if "validation" in found:
        console.print(told_choice(found["validation"]), markup=False, soft_wrap=True)
    console.print(f"popularity: counts of {found['popularity']}, chosen on validation")
    if as_json is not None:
        text = json.dumps(found, indent=1, allow_nan=False)
        as_json.write_text(text + "\n", encoding="utf-8")
    if as_html is not None:
        from training.page import page  # matplotlib loads slowly, and only a report needs it

        as_html.write_text(page(found), encoding="utf-8")


def _whole_numbers(option: str, text: str) -> list[int]:
    found = [one.strip() for one in text.split(",")]
    if not all(one.isascii() and one.isdigit() for one in found) or len(set(found)) < len(found):
        raise ConfigError(f"{option}: got {text!r}, expected different whole numbers, as in 1,2,3")
    return [int(one) for one in found]


def _writable(option: str, path: Path | None) -> None:
    if path is not None and not path.parent.is_dir():
        raise ConfigError(f"{option} {path}: no such folder")
