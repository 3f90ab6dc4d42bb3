"""The service under test as seen from outside: what it holds, which versions, how much memory."""

import re
import time
from collections import defaultdict
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from typing import Any

import psutil

from tests.end_to_end.processes import Served, loaders_of

INDEXED = re.compile(rb'^firstsight_index_items\{part="main",version="([^"]+)"\}', re.MULTILINE)
PATIENCE_S = 600.0


def wait(
    claim: Callable[[], Any], told: str, patience_s: float = PATIENCE_S, pause_s: float = 0.05
) -> None:
    """Wait until something is so; between two looks for `pause_s`.

    Raises:
        TimeoutError: It is not so in time; says what.

    """
    until = time.monotonic() + patience_s
    while not claim():
        if time.monotonic() > until:
            raise TimeoutError(told)
        time.sleep(pause_s)


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


def loaded(served: Served) -> set[str] | None:
    """Return the versions that are loaded; None while one loader takes over from another."""
    if len(roles(served)["loader"]) != 1:
        return None
    connection = HTTPConnection("127.0.0.1", served.port, timeout=10)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read()
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
    return {version.decode() for version in INDEXED.findall(text)}


def readiness(served: Served) -> dict[str, Any]:
    """Return what `/readyz` says."""
    told: dict[str, Any] = served.ask("GET", "/readyz")[1]
    return told
