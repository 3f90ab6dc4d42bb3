"""A supervised service in a process of its own, to be measured from outside.

`python -m benchmarks.supervised FOLDER PORT WORKERS MODE` serves until it is told to end.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.end_to_end.processes import loaders_of

APPLICATION = "benchmarks.process_model_app"
LINGER_S = 2.0
KEPT, FRESH, RATE = 16, 4, 20.0  # 400 requests a second
Figures = dict[str, Any]


def serve_until_told(folder: str, port: str, workers: str, mode: str) -> None:
    from service.supervisor import Plan, serve

    plan = Plan(
        application=APPLICATION,
        settings_for=lambda _: {"folder": folder, "mode": mode},
        host="127.0.0.1",
        port=int(port),
        workers=int(workers),
        redis=None,
        data_folder=Path(folder),
        linger_s=LINGER_S,
        grace_s=10,
    )
    serve(plan)


class Service:
    """A supervised service in a process of its own, up when its workers serve."""

    def __init__(self, folder: Path, workers: int, mode: str, **environment: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        for old in folder.glob("worker-*.json"):
            old.unlink()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.supervised"]
            + [str(folder), str(self.port), str(workers), mode],
            env=os.environ | environment,
        )
        self.folder = folder
        self._wait(lambda: len(self.fork_to_serving_s()) == workers)
        time.sleep(0.3)

    @staticmethod
    def _wait(claim: Callable[[], bool]) -> None:
        while not claim():
            time.sleep(0.02)

    def fork_to_serving_s(self) -> list[float]:
        """Return what each worker needed from its fork to its first request."""
        files = self.folder.glob("worker-*.json")
        return [json.loads(text) for file in files if (text := file.read_text())]

    def loaders(self) -> list[int]:
        """Return the loader processes, two of them during a handover."""
        return [one.pid for one in loaders_of(self.process.pid)]

    def handover(self) -> None:
        """Ask for a new loader and wait until the old one is gone."""
        old = self.loaders()
        self.process.send_signal(signal.SIGHUP)
        self._wait(lambda: not set(old) & set(self.loaders()))

    def load(self, seconds: float) -> "subprocess.Popen[str]":
        """Start clients in a process of their own."""
        words = [str(word) for word in (self.port, seconds, KEPT, FRESH, RATE)]
        program = [sys.executable, "-m", "benchmarks.steady_load", *words]
        return subprocess.Popen(program, stdout=subprocess.PIPE, text=True)

    def close(self) -> None:
        """End the service."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def memory_mib(pid: int) -> Figures:
    """Return resident, proportional and private memory of a process."""
    found = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kib = {line.split()[0].rstrip(":"): int(line.split()[1]) for line in found}
    private = kib["Private_Clean"] + kib["Private_Dirty"]
    return {
        "rss": round(kib["Rss"] / 1024),
        "pss": round(kib["Pss"] / 1024),
        "private": round(private / 1024),
    }


if __name__ == "__main__":
    serve_until_told(*sys.argv[1:])
