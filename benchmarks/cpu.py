"""The CPU that a process has taken."""

import time


def cpu_s(process: int) -> float:
    """Return the CPU seconds that a process has taken, to the nanosecond: Linux's clock of it."""
    return time.clock_gettime(~process << 3 | 2)
