"""Whoever rolls versions out: each of the ways to go to a new version, and back."""

import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from benchmarks.rollout.bundles import as_version
from benchmarks.rollout.watched import loaded, readiness, wait
from service.rollout.pointer import PointerRefused
from service.rollout.pointer_store import read_pointer
from service.settings import Settings
from tests.end_to_end.processes import Served

SHARES = (0.3, 0.6)
WAYS = ("direct", "tried", "raced", "withdrawn")
"""Methods of `Publisher`, in the order in which they are taken in turn."""


@dataclass(frozen=True)
class Swap:
    """A rollout: from the moment it was asked for until only one version was loaded again (s).

    commands: when a command ran that verified a bundle or changed the pointer, from and to.
    """

    kind: str
    began: float
    served: float
    ended: float
    commands: tuple[tuple[float, float], ...] = ()


@dataclass
class Publisher:
    """Rolls out versions that are named anew each time, with the towers of the bases in turn.

    By the command that a user types, as from another terminal.

    metrics: the folder in which the service's processes count.
    """

    served: Served
    metrics: Path
    settings: Settings
    bases: list[Path]
    swaps: list[Swap] = field(default_factory=list)
    of: dict[str, Path] = field(default_factory=dict)
    refused: int = 0
    commands: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._numbers = count(1)

    def publish(self) -> str:
        """Put a new version into the folder of bundles; return its name."""
        number = next(self._numbers)
        base = self.bases[number % len(self.bases)]
        version = f"roll-{number:04d}"
        as_version(base, self.settings.bundles / version)
        self.of[version] = base
        return version

    def roll_out(self) -> Swap:
        """Go to a new version in the next way, and wait until the old ones are gone."""
        way = WAYS[len(self.swaps) % len(WAYS)]
        self.commands, began = [], time.monotonic()
        getattr(self, way)()
        served = time.monotonic()
        current = self.current()
        told = f"{current} is not alone"
        wait(lambda: loaded(self.served, self.metrics) == {current}, told)
        ended, commands = time.monotonic(), tuple(self.commands)
        self.swaps.append(Swap(way, began, served, ended, commands))
        return self.swaps[-1]

    def current(self) -> str:
        """Return the version that the pointer names."""
        pointer = read_pointer(self.settings)
        assert pointer is not None, "a service that runs has a pointer"
        return pointer.current

    def direct(self) -> None:
        """Activate a version for everyone."""
        version = self.publish()
        self._activate(version)
        self._follows(version)

    def tried(self) -> None:
        """Try a version on a share of users, then on more, then promote it."""
        version = self.publish()
        for share in SHARES:
            self._activate(version, share)
            self._tries(version, share)
        self._activate(version)
        self._follows(version)

    def withdrawn(self) -> None:
        """Try a version, promote it, go back, and promote it after all."""
        before, version = self.current(), self.publish()
        self._activate(version, SHARES[0])
        self._tries(version, SHARES[0])
        self._activate(version)
        self._follows(version)
        self._command("rollback")
        self._follows(before)
        self._activate(version)
        self._follows(version)

    def raced(self) -> None:
        """Have two publishers activate a version each at the same time."""
        versions = [self.publish(), self.publish()]
        with ThreadPoolExecutor(2) as pool:
            done = list(pool.map(self._attempt, versions))
        self.refused += done.count(False)
        assert any(done), "of two publishers neither was first"
        self._follows(self.current())

    def _attempt(self, version: str) -> bool:
        try:
            self._activate(version)
        except PointerRefused:
            return False
        return True

    def _activate(self, version: str, share: float = 1.0) -> None:
        self._command("activate", version, "--share", str(share))

    def _command(self, *words: str) -> None:
        began = time.monotonic()
        try:
            command(self.settings, *words)
        finally:
            self.commands.append((began, time.monotonic()))

    def _follows(self, version: str) -> None:
        wait(lambda: readiness(self.served)["version"] == version, f"{version} is not served")

    def _tries(self, version: str, share: float) -> None:
        def is_tried() -> bool:
            candidate = readiness(self.served)["candidate"]
            return candidate is not None and candidate["version"] == version

        wait(is_tried, f"{version} is not tried on {share:g}")

    def kinds(self) -> dict[str, int]:
        """Return how many rollouts there were of each kind."""
        return dict(Counter(swap.kind for swap in self.swaps))


def command(settings: Settings, *words: str) -> None:
    """Run `firstsight bundle`, in a session of its own.

    Raises:
        PointerRefused: Somebody else was first.

    """
    assert settings.redis is not None, "the pointer is in Redis"
    told = {
        "FIRSTSIGHT_BUNDLES": str(settings.bundles),
        "FIRSTSIGHT_REDIS": settings.redis.get_secret_value(),
    }
    done = subprocess.run(
        [sys.executable, "-m", "firstsight", "bundle", *words],
        env=os.environ | told,
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    if done.returncode and "came first" in done.stderr:
        raise PointerRefused(done.stderr)
    if done.returncode:
        raise RuntimeError(f"bundle {' '.join(words)}: {done.stderr}")
