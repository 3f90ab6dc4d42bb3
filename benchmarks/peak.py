"""The most memory that a program ever held, as Linux tells in a process of its own.

What `wait4` tells is no use here: a process that is started takes over the peak of who started it.
"""

import runpy
import subprocess
import sys
from pathlib import Path


def peak_mb(module: str, *arguments: str) -> float:
    """Return the peak resident MB of `python -m MODULE ARGUMENTS`.

    Raises:
        CalledProcessError: It ended with an error.
    """
    command = [sys.executable, "-m", "benchmarks.peak", module, *arguments]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return round(int(told.split()[-1]) * 1024 / 1e6, 1)


def _own_peak_kib() -> int:
    status = Path("/proc/self/status").read_text()
    [line] = [one for one in status.splitlines() if one.startswith("VmHWM:")]
    return int(line.split()[1])


if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code:
            raise
    sys.stdout.write(f"{_own_peak_kib()}\n")
