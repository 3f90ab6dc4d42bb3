"""The most memory that a program ever held, as Linux tells in a process of its own.

What `wait4` tells is no use here: a process that is started takes over the peak of who started it.
"""

import runpy
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

SECONDS = 0.005


class Peaks(NamedTuple):
    """The most resident MB: of all, and of what is in no file, which cannot be read again."""

    whole: float
    outside_files: float


def peak_mb(module: str, *arguments: str) -> float:
    """Return the peak resident MB of `python -m MODULE ARGUMENTS`.

    Raises:
        CalledProcessError: It ended with an error.
    """
    return peaks_mb(module, *arguments).whole


def peaks_mb(module: str, *arguments: str) -> Peaks:
    """Return both peaks; outside of files is looked at every SECONDS, and may miss what is short.

    Raises:
        CalledProcessError: It ended with an error.
    """
    command = [sys.executable, "-m", "benchmarks.peak", module, *arguments]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    whole, outside_files = (round(int(one) * 1024 / 1e6, 1) for one in told.split()[-2:])
    return Peaks(whole, outside_files)


def _own_kib(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    [line] = [one for one in status.splitlines() if one.startswith(f"{name}:")]
    return int(line.split()[1])


class _Watch(Thread):
    """Looks at what is held outside of files, until it is told to stop."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.is_over = 0, Event()

    def run(self) -> None:
        while not self.is_over.wait(SECONDS):
            self.most = max(self.most, _own_kib("RssAnon"))


if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    watch = _Watch()
    watch.start()
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code:
            raise
    watch.is_over.set()
    watch.join()
    sys.stdout.write(f"{_own_kib('VmHWM')} {watch.most}\n")
