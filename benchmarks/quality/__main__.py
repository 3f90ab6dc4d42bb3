"""How good are recalls? Every model beside strong simple rivals, on public protocols.

Run: python -m benchmarks.quality prepare DATA --out WORK, then select, final and table.
"""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.quality.case import Case
from benchmarks.quality.final import final as run_final
from benchmarks.quality.gap import write_gap
from benchmarks.quality.kept import keep as run_keep
from benchmarks.quality.models import MODELS
from benchmarks.quality.protocols import PROTOCOLS
from benchmarks.quality.rivals import RIVALS
from benchmarks.quality.select import select as run_select
from benchmarks.quality.table import write_tables
from export.contract.errors import ConfigError

SCORERS = (*(rival.name for rival in RIVALS), *MODELS)
Out = Annotated[Path, typer.Option(help="The work folder.")]
Only = Annotated[
    list[str] | None,
    typer.Option(help="A protocol, or one content of it, NAME.CONTENT; may be repeated."),
]
Scorers = Annotated[
    str | None, typer.Option(help=f"Of {', '.join(SCORERS)}; commas between. All without it.")
]
app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)


@app.command()
def prepare(
    data: Annotated[Path, typer.Argument(help="The folder of the data sets' folders.")],
    out: Out,
    only: Only = None,
) -> None:
    """Turn each protocol into tables: those that select apart from those that test."""
    for case in _cases(out, only, once=True):
        typer.echo(f"{case.protocol.name}: {case.train} and {case.test}")
        case.protocol.tables(data / case.protocol.source).write(case.train, case.test)


@app.command()
def select(
    out: Out,
    trials: Annotated[int, typer.Option(min=1, help="How many each scorer has.")],
    only: Only = None,
    scorers: Scorers = None,
) -> None:
    """Search the options of each scorer on validation, which is carved from train."""
    for case in _cases(out, only):
        run_select(case, _scorers(scorers), trials, typer.echo)


@app.command()
def final(
    out: Out,
    only: Only = None,
    scorers: Scorers = None,
    seeds: Annotated[str, typer.Option(help="Seeds, commas between.")] = "1,2,3",
) -> None:
    """Fit each scorer as selected to all train rows, and measure it on the test."""
    for case in _cases(out, only):
        run_final(case, _scorers(scorers), [int(one) for one in seeds.split(",")], typer.echo)


@app.command()
def table(
    out: Out,
    docs: Annotated[Path, typer.Option(help="The page to write into.")] = Path("docs/quality.md"),
    only: Only = None,
) -> None:
    """Write what was measured into the page, between each protocol's marks."""
    write_tables(_cases(out, only), docs)
    typer.echo(f"wrote {docs}")


@app.command()
def keep(out: Out, only: Only = None) -> None:
    """Keep beside the code what another machine goes on from: trials, and ours by user."""
    for case in _cases(out, only):
        run_keep(case, typer.echo)


@app.command()
def gap(
    out: Out,
    only: Annotated[str, typer.Option(help="A protocol, or one content of it, NAME.CONTENT.")],
    place: Annotated[str, typer.Option(help="The slice.")],
    than: Annotated[str, typer.Option(help="The rival.")],
    docs: Annotated[Path, typer.Option(help="The page to write into.")] = Path("docs/quality.md"),
) -> None:
    """Write where ours and a rival differ, by how often an item was clicked before the test."""
    for case in _cases(out, [only]):
        write_gap(case, place, than, docs, typer.echo)
    typer.echo(f"wrote {docs}")


def _cases(out: Path, only: list[str] | None, *, once: bool = False) -> list[Case]:
    """Return the cases that were asked for; `once`: one of each protocol."""
    every = [Case(out, one, content) for one in PROTOCOLS for content in one.contents]
    asked = set(only or [])
    if unknown := asked - {one.name for one in every} - {one.protocol.name for one in every}:
        names = ", ".join(one.name for one in every)
        raise typer.BadParameter(f"--only {unknown.pop()}: expected a protocol, or one of {names}")
    found = [one for one in every if not asked or {one.name, one.protocol.name} & asked]
    return list({one.protocol.name: one for one in found}.values()) if once else found


def _scorers(text: str | None) -> set[str]:
    asked = set(text.split(",")) if text else set(SCORERS)
    if unknown := asked - set(SCORERS):
        raise typer.BadParameter(f"--scorers {unknown.pop()}: expected of {', '.join(SCORERS)}")
    return asked


if __name__ == "__main__":
    try:
        app(standalone_mode=True)
    except ConfigError as error:
        raise SystemExit(f"quality: {error}") from error
