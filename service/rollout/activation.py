"""Activates a version in a process of its own: a bundle is never loaded where requests wait."""

import asyncio
import contextlib
import json
import os
import pickle
import signal
import sys
from dataclasses import asdict
from typing import Any

from export.contract.errors import BundleError
from service.processes.loader_process import ENVIRONMENT
from service.processes.parent_death import die_with_parent
from service.processes.yielding import yield_for_good
from service.rollout.bundles import NoSuchBundle
from service.rollout.pointer import Pointer, PointerRefused
from service.rollout.pointer_store import PointerUnknown
from service.rollout.rollout import activate
from service.settings import Settings

PROGRAM = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from service.rollout.activation import main
main()
"""

REFUSALS: dict[str, type[Exception]] = {
    kind.__name__: kind for kind in (NoSuchBundle, BundleError, PointerRefused, PointerUnknown)
}


class ActivationFailed(Exception):
    """The process ended without an answer."""


async def activate_apart(
    settings: Settings, version: str, share: float, expect: int | None
) -> tuple[Pointer | None, Pointer]:
    """Do as `rollout.activate` does; the process ends with whoever waits for it.

    Raises:
        ActivationFailed: It ended in another way than `rollout.activate` can.
        BundleError, PointerRefused, PointerUnknown: As there.

    """
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
    settings, version, share, expect, parent = pickle.load(sys.stdin.buffer)
    answer: dict[str, Any]
    die_with_parent(signal.SIGKILL, parent)
    yield_for_good()
    try:
        before, after = activate(settings, version, share, expect)
    except tuple(REFUSALS.values()) as error:
        kind = next(kind for kind in type(error).__mro__ if kind.__name__ in REFUSALS)
        answer = {"refused": kind.__name__, "reason": str(error)}
    else:
        answer = {"before": before and asdict(before), "after": asdict(after)}
    sys.stdout.write(json.dumps(answer))
