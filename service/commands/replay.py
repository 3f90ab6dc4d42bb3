"""The command `firstsight replay`: an answer is made again, and all of it compared."""

import asyncio
from pathlib import Path

import orjson
import typer

from export.contract.errors import BundleError
from export.contract.manifest import BundleLayout
from service.generation import Generation
from service.replay.debug import Debug
from service.replay.replay import Recorded, difference, doubts
from service.replay.replay import replay as make_again
from service.replay.state import NotReplayable, State, read_stored
from service.settings import Settings
from service.snapshot.format import read_snapshot
from service.store import StoreUnavailable

SAME, DIFFERENT = 0, 1


def replay(file: Path, bundle: Path, folder: Path | None, redis: Settings | None) -> int:
    """Make the answer in a file again; print what came of it, and return the exit code.

    Raises:
        ConfigError: The file is no answer with `debug`.
        NotReplayable: The bundle, or the items, that it was made of are not there.
        BundleError, SnapshotError: There is no bundle; the snapshot cannot be used.

    """
    recorded = Recorded.read(file)
    generation = _opened(bundle)
    snapshot = None if folder is None else read_snapshot(folder, generation.bundle)
    stored = None
    if redis is not None:
        try:
            stored = asyncio.run(read_stored(redis, generation))
        except StoreUnavailable as error:
            raise NotReplayable(f"Redis does not answer: {error}") from error
    made = make_again(recorded, generation, State.of(snapshot, stored))
    if not recorded.was_answered:
        typer.echo(orjson.dumps(made, option=orjson.OPT_INDENT_2).decode())
        return SAME
    return _told(recorded, made)


def _opened(folder: Path) -> Generation:
    """Open the bundle; one of which a file is gone or changed is not the one that answered.

    Raises:
        NotReplayable: Such a one; says which file.
        BundleError: There is none.

    """
    try:
        return Generation.load(folder)
    except BundleError as error:
        if not BundleLayout(folder).manifest.is_file():
            raise
        raise NotReplayable(f"the answer was not made by this bundle as it is: {error}") from error


def _told(recorded: Recorded, made: dict[str, object]) -> int:
    differs = difference(recorded.answer, made)
    items = len(recorded.answer["items"])
    if differs is None:
        typer.echo(f"the same: version {made['version']}, {items} items")
        return SAME
    typer.echo(f"different: {differs}")
    for doubt in doubts(recorded.debug, Debug.model_validate(made["debug"])):
        typer.echo(f"it cannot be exact: {doubt}")
    return DIFFERENT
