"""What all processes of a service take, sampled while they run."""

import contextlib
import threading
import time
from typing import NamedTuple, Self

import numpy as np
import psutil

from benchmarks.soak.scenario import Figures
from tests.end_to_end.processes import Served, loaders_of

EVERY_S = 1.0
MIB = 1 << 20


class Sample(NamedTuple):
    """One look: proportional memory (MiB) of all processes, and of Redis; open descriptors."""

    memory_mib: float
    redis_mib: float
    descriptors: int


class Usage(threading.Thread):
    """Looks once a second while its block runs."""

    def __init__(self, served: Served) -> None:
        super().__init__(daemon=True)
        self._served = served
        self._ends = threading.Event()
        self.samples: list[Sample] = []
        self._loaders: set[int] = set()

    @property
    def handovers(self) -> int:
        """How often a new loader took over."""
        return max(0, len(self._loaders) - 1)

    def run(self) -> None:
        """Look until told to end."""
        while not self._ends.wait(EVERY_S):
            self.samples.append(self._look())

    def _look(self) -> Sample:
        memory = redis = 0.0
        descriptors = 0
        for process in self._served.family():
            with contextlib.suppress(psutil.Error, OSError):  # it may just have ended
                mib = process.memory_full_info().pss / MIB
                is_redis = "redis" in process.name()
                memory, redis = memory + mib, redis + mib * is_redis
                descriptors += process.num_fds()
        self._loaders |= {one.pid for one in loaders_of(self._served.process.pid)}
        return Sample(memory, redis, descriptors)

    def fifths(self) -> dict[str, tuple[float, float]]:
        """Return the mean of each figure over the second fifth of the time, and over the last."""
        rows = np.array(self.samples)
        parts = np.array_split(rows, 5)
        second, last = parts[1].mean(axis=0), parts[4].mean(axis=0)
        return {
            name: (float(second[at]), float(last[at])) for at, name in enumerate(Sample._fields)
        }

    def told(self) -> Figures:
        """Return the fifths as figures."""
        return {
            name.replace("_mib", " (MiB)"): f"{before:.0f} -> {after:.0f}"
            for name, (before, after) in self.fifths().items()
        }

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.set()
        self.join()


def pause_until(due_s: float) -> None:
    """Sleep until a moment of the monotonic clock."""
    time.sleep(max(0.0, due_s - time.monotonic()))
