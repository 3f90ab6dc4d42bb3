"""The service under test as seen from outside: what it holds, which versions, how much memory."""

import json
import struct
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from service.metrics_folder import values_of
from tests.end_to_end.processes import Served, loaders_of

INDEXED = "firstsight_index_items"
PATIENCE_S = 600.0
LOOK_S = 0.05


def wait(claim: Callable[[], Any], told: str, patience_s: float = PATIENCE_S) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: It is not so in time; says what.

    """
    until = time.monotonic() + patience_s
    while not claim():
        if time.monotonic() > until:
            raise TimeoutError(told)
        time.sleep(LOOK_S)


def roles(served: Served) -> dict[str, list[psutil.Process]]:
    """Return the processes of the service: supervisor, fork server, redis, loaders and workers."""
    found: dict[str, list[psutil.Process]] = defaultdict(list)
    loaders = {one.pid for one in loaders_of(served.process.pid)}
    for one in served.family():
        try:
            words, parent = one.cmdline(), one.ppid()
        except psutil.Error:
            continue  # it has just ended
        if one.pid == served.process.pid:
            found["supervisor"].append(one)
        elif one.pid in loaders:
            found["loader"].append(one)
        elif "firstsight loader" in words:
            is_first = parent == served.process.pid
            found["fork server" if is_first else "worker"].append(one)
        else:
            found["redis"].append(one)
    return found


def memory(served: Served) -> dict[str, Any]:
    """Return the proportional memory (MiB) and the open descriptors of all processes, by role."""
    told: dict[str, Any] = {"mib": {}, "descriptors": {}}
    for role, processes in roles(served).items():
        told["mib"][role] = round(sum(one.memory_full_info().pss for one in processes) / 2**20, 1)
        told["descriptors"][role] = sum(one.num_fds() for one in processes)
    return told


def loaded(served: Served, metrics: Path) -> set[str] | None:
    """Return the versions that are loaded; None while one loader takes over from another.

    Read where the workers count: to ask for `/metrics` would take one of them some milliseconds of
    the requests that are timed, and to look for processes by name a core as many.

    metrics: the folder in which the service's processes count.
    """
    try:
        others = [one for one in _children(served.process.pid) if "redis" not in _name(one)]
        loaders = [one for other in others for one in _children(other)]
        if len(loaders) != 1:
            return None
        gauges = [metrics / f"gauge_livemax_{worker}.db" for worker in _children(loaders[0])]
        told = [json.loads(key) for path in gauges for key, *_ in values_of(path)]
    except (FileNotFoundError, ProcessLookupError, struct.error):
        return None  # one has just ended, or begun
    versions = [labels for _, name, labels, _ in told if name == INDEXED]
    return {labels["version"] for labels in versions if labels["part"] == "main"}


def _children(process: int) -> list[int]:
    told = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    return [int(one) for one in told.split()]


def _name(process: int) -> str:
    return Path(f"/proc/{process}/comm").read_text(encoding="utf-8")


def readiness(served: Served) -> dict[str, Any]:
    """Return what `/readyz` says."""
    told: dict[str, Any] = served.ask("GET", "/readyz")[1]
    return told
