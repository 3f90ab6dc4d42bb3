"""Activates a version in a process of its own: a bundle is never loaded where requests wait.

One at a time on a machine: each load takes the memory of a bundle beside those that are served.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import pickle
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from export.contract.bundle import check_version
from export.contract.errors import BundleError
from service.child.environment import ENVIRONMENT
from service.child.parent_death import die_with_parent
from service.rollout.pointer import Pointer, PointerRefused
from service.rollout.pointer_store import PointerUnknown, read_pointer
from service.rollout.rollout import activate, published
from service.settings import Settings

PROGRAM = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from service.child.importing import importing
from service.child.yielding import yield_for_good
yield_for_good()  # before most is imported
with importing():
    from service.rollout.activation import main
main()
"""

TURN_S = 10.0
"""How long an activation waits for those before it."""
LOOK_S = 0.05

REFUSALS: dict[str, type[Exception]] = {
    kind.__name__: kind for kind in (BundleError, PointerRefused, PointerUnknown)
}


class ActivationFailed(Exception):
    """The process ended without an answer."""


class ActivationBusy(Exception):
    """Others are verified on this machine, and it did not come to this one's turn in time."""


async def activate_apart(
    settings: Settings, version: str, share: float, expect: int | None
) -> tuple[Pointer | None, Pointer]:
    """Do as `rollout.activate` does; the process ends with whoever waits for it.

    Raises:
        ActivationBusy: Another version is being verified on this machine for longer than `TURN_S`.
        ActivationFailed: It ended in another way than `rollout.activate` can.
        BundleError, PointerRefused, PointerUnknown: As there.

    """
    await asyncio.to_thread(published, settings, check_version(version))
    if await asyncio.to_thread(_is_named, settings, version):  # then nothing is loaded
        return await _in_a_process(settings, version, share, expect)
    async with _turn(settings.bundles):
        return await _in_a_process(settings, version, share, expect)


def _is_named(settings: Settings, version: str) -> bool:
    try:
        pointer = read_pointer(settings)
    except PointerUnknown:
        return False
    return pointer is not None and version in (pointer.current, pointer.candidate)


@contextlib.asynccontextmanager
async def _turn(bundles: Path) -> AsyncIterator[None]:
    """Wait until nobody else on this machine verifies a version of this folder.

    The lock is that of the folder itself, opened for each who waits: one for requests and workers
    alike, gone with who holds it, and nothing is written.
    """
    folder = os.open(bundles, os.O_RDONLY)
    try:
        give_up_s = time.monotonic() + TURN_S
        while not _locked(folder):
            if time.monotonic() > give_up_s:
                raise ActivationBusy("another version is being verified on this machine")
            await asyncio.sleep(LOOK_S)
        yield
    finally:
        os.close(folder)


def _locked(folder: int) -> bool:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _in_a_process(
    settings: Settings, version: str, share: float, expect: int | None
) -> tuple[Pointer | None, Pointer]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=ENVIRONMENT | os.environ,
    )
    order = (settings, version, share, expect, os.getpid())
    try:
        told, _ = await process.communicate(pickle.dumps(sys.path) + pickle.dumps(order))
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())
    if process.returncode:
        raise ActivationFailed(f"exit code {process.returncode}")
    answer: dict[str, Any] = json.loads(told)
    if "refused" in answer:
        raise REFUSALS[answer["refused"]](answer["reason"])
    before = answer["before"]
    return None if before is None else Pointer(**before), Pointer(**answer["after"])


def main() -> None:
    """Read the order, activate, and tell on standard output; `activate_apart` is the only caller.

    Nobody else writes there: what is logged goes to standard error.
    """
    order = pickle.load(sys.stdin.buffer)  # noqa: S301 - of `activate_apart`
    settings, version, share, expect, parent = order
    answer: dict[str, Any]
    die_with_parent(signal.SIGKILL, parent)
    try:
        before, after = activate(settings, version, share, expect)
    except tuple(REFUSALS.values()) as error:
        kind = next(kind for kind in type(error).__mro__ if kind.__name__ in REFUSALS)
        answer = {"refused": kind.__name__, "reason": str(error)}
    else:
        answer = {"before": before and asdict(before), "after": asdict(after)}
    sys.stdout.write(json.dumps(answer))
