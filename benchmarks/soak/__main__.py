"""Does a service keep its word for as long as an hour, whatever is killed meanwhile?

Run: python -m benchmarks.soak --out DIR [--only NAME ...] [--scale small|full]
     [--set NAME.PARAMETER=VALUE ...] [--docs docs/soak.md]
"""

import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from benchmarks.soak.page import write_page
from benchmarks.soak.result import run_kept
from benchmarks.soak.scenario import Figures, Scale, Scenario
from benchmarks.soak.scenarios import SCENARIOS
from export.contract.errors import ConfigError

NAMES = ", ".join(kind.name for kind in SCENARIOS)
app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def soak(
    out: Annotated[Path, typer.Option(help="Where results are kept; a stopped run goes on here.")],
    only: Annotated[list[str] | None, typer.Option(help=f"Of {NAMES}; may be repeated.")] = None,
    scale: Annotated[str, typer.Option(help="small (seconds each) or full")] = "full",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="NAME.PARAMETER=VALUE; may be repeated.")
    ] = None,
    docs: Annotated[Path | None, typer.Option(help="A page to write the results into.")] = None,
) -> None:
    """Run the scenarios one after the other; exit code 1 if a promise was broken."""
    chosen = parameters(set_ or [])
    if unknown := {*(only or []), *chosen} - {kind.name for kind in SCENARIOS}:
        raise typer.BadParameter(f"scenario {min(unknown)!r}: expected one of {NAMES}")
    if scale not in ("small", "full"):
        raise typer.BadParameter(f"--scale {scale}: expected small or full")
    at: Scale = "small" if scale == "small" else "full"
    asked = [kind for kind in SCENARIOS if not only or kind.name in only]
    made = [_made(kind, at, chosen.get(kind.name, {})) for kind in asked]
    out.mkdir(parents=True, exist_ok=True)
    results = [run_kept(one, out, say) for one in made]
    for found in results:
        show(found)
    if docs is not None:
        write_page(SCENARIOS, results, docs)
        say(f"wrote {docs}")
    raise typer.Exit(any(found["faults"] for found in results))


def _made(kind: type[Scenario], at: Scale, chosen: dict[str, str]) -> Scenario:
    try:
        return kind.scaled(at, **chosen)
    except ValidationError as error:
        fault = error.errors()[0]
        unknown = fault["type"] == "extra_forbidden"
        why = "there is no such parameter" if unknown else fault["msg"]
        raise typer.BadParameter(f"{kind.name}.{fault['loc'][0]}: {why}") from error


def parameters(words: list[str]) -> dict[str, dict[str, str]]:
    """Read `NAME.PARAMETER=VALUE`, as {name: {parameter: value}}."""
    found: dict[str, dict[str, str]] = {}
    for word in words:
        path, is_given, value = word.partition("=")
        name, has_point, parameter = path.partition(".")
        if not (is_given and has_point):
            raise typer.BadParameter(f"--set {word}: expected NAME.PARAMETER=VALUE")
        found.setdefault(name, {})[parameter] = value
    return found


def show(found: Figures) -> None:
    """Print a result in a few lines."""
    typer.echo(f"\n{found['name']}: {'BROKEN' if found['faults'] else 'passed'}")
    for name, value in found["figures"].items():
        typer.echo(f"  {name}: {value}")
    for fault in found["faults"]:
        typer.echo(f"  broken: {fault}")


def say(text: str) -> None:
    """Print a line of progress."""
    typer.echo(f"{time.strftime('%H:%M:%S')} {text}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("soak: ended"))  # and with it the service
    try:
        app(standalone_mode=True)
    except ConfigError as error:
        raise SystemExit(f"soak: {error}") from error
