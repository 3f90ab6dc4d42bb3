"""The command `firstsight`: one verb per room, each room imported only when its verb is used."""

import contextlib
import importlib
import sys
import traceback
from dataclasses import dataclass
from typing import Any

import typer

from export.contract.errors import ContractError
from service.child.importing import importing
from service.processes.cpu import refuse_unfit_cpu

DONE, FAILED, MISTAKE, NOT_SERVING = 0, 1, 2, 3

ROOMS = frozenset({"service", "training", "export"})


@dataclass(frozen=True)
class Verb:
    """A verb and where it lives: `module:attribute`, a function or a typer application.

    yields: whether it gives way to a service beside it, before it imports what takes half a second.
    begins: whether it starts processes, the first of which can import what it needs meanwhile.
    """

    name: str
    target: str
    extra: str
    help: str
    yields: bool = False
    begins: bool = False


VERBS = (
    Verb("init", "training.cli:init", "training", "Write a first config for three tables."),
    Verb("doctor", "training.cli:doctor", "training", "Say what is unsound in a config's data."),
    Verb("validate", "training.cli:validate", "training", "Say what is wrong with a config."),
    Verb("factors", "training.cli:factors", "training", "Fit factors to a config's train rows."),
    Verb("train", "training.cli:train", "training", "Train a run from a config."),
    Verb("evaluate", "training.cli:evaluate", "training", "Measure a run or a bundle."),
    Verb("compare", "training.cli:compare", "training", "Train presets or variations; measure."),
    Verb("tune", "training.cli:tune", "training", "Search the options that validate best."),
    Verb(
        "import-easyrec", "training.cli:import_easyrec", "training", "Take over an EasyRec config."
    ),
    Verb("export", "export.cli:export", "export", "Make a bundle of a run."),
    Verb("embed", "export.cli:embed", "service", "Turn records into vectors, without a service."),
    Verb("recall", "export.cli:recall", "service", "Recall for many users, without a service."),
    Verb("serve", "service.cli:serve", "service", "Serve a bundle over HTTP.", begins=True),
    Verb("items", "service.cli:items", "service", "Load or delete items; snapshot, reconcile."),
    Verb("users", "service.cli:users", "service", "Load users into a service."),
    Verb("keys", "service.commands.keys:keys", "service", "Make API keys."),
    Verb("replay", "service.cli:replay", "service", "Make a recall's answer again; compare."),
    Verb(
        "bundle",
        "service.commands.bundle:bundle",
        "service",
        "Check, publish, activate bundles.",
        yields=True,
    ),
)


class MissingExtra(Exception):
    """A room's libraries are not installed."""


def main() -> None:
    """Run the command and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; return the exit code, after one line on standard error if not 0.

    0 done, 1 failed, 2 the user's mistake, 3 could not start serving.
    """
    debug = "--debug" in arguments
    arguments = [one for one in arguments if one != "--debug"]
    try:
        verb = next((one for one in arguments if not one.startswith("-")), None)
        with contextlib.ExitStack() as begun:
            app = application(verb, begun)
            code = app(arguments or ["--help"], prog_name="firstsight", standalone_mode=False)
        return code if isinstance(code, int) else DONE  # typer.Exit comes back as its code
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            traceback.print_exc()
        code, line = verdict(error)
        sys.stderr.write(f"firstsight: {line}\n" if line else "")
        return code


def verdict(error: BaseException) -> tuple[int, str]:
    """Return the exit code that an error means, and the line that tells of it."""
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return 130, "interrupted"
    if isinstance(error, (ContractError, MissingExtra)):
        return MISTAKE, str(error)
    if format_message := getattr(error, "format_message", None):  # typer's own: usage
        return MISTAKE, " ".join(str(format_message()).split())
    code = getattr(error, "exit_code", FAILED)
    known = isinstance(error, OSError) or hasattr(error, "exit_code")
    return code, str(error) if known else f"{type(error).__name__}: {error} (--debug shows where)"


def application(asked: str | None, begun: contextlib.ExitStack) -> typer.Typer:
    """Return the command with the asked verb loaded; the others are there for the help only.

    begun: ends what the verb has begun.
    """
    app = typer.Typer(
        name="firstsight",
        help="Two-tower recall that gives new items and new users a good place.",
        epilog="--debug, anywhere, shows the traceback of an error.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    for verb in VERBS:
        target = load(verb, begun) if verb.name == asked else _unloaded
        if isinstance(target, typer.Typer):
            app.add_typer(target, name=verb.name, help=verb.help)
        else:
            app.command(verb.name, help=verb.help if target is _unloaded else None)(target)
    return app


def load(verb: Verb, begun: contextlib.ExitStack) -> Any:
    """Import a verb's room and return its command.

    begun: ends what the verb has begun.

    Raises:
        MissingExtra: A library of the room is not installed.
        UnfitCpu: One is compiled for another processor than this.

    """
    module, _, attribute = verb.target.partition(":")
    if verb.extra != "training":  # these import hnswlib
        refuse_unfit_cpu()
    if verb.yields:
        importlib.import_module("service.child.yielding").yield_for_good()
    if verb.begins:
        forks = importlib.import_module("service.processes.fork_server_process")
        begun.enter_context(forks.begun())
    try:
        with importing():
            return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in ROOMS:
            raise
        raise MissingExtra(
            f"firstsight {verb.name} needs the extra '{verb.extra}': "
            f"pip install 'firstsight[{verb.extra}]' (no module {error.name!r})"
        ) from error


def _unloaded() -> None:
    """Stand in for a verb that was not asked for."""


if __name__ == "__main__":
    main()
