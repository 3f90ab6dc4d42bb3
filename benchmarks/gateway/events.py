"""What is done to replicas under load, one after the other, and who may serve whom meanwhile."""

import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.rollout.bundles import as_version
from benchmarks.rollout.publisher import command
from benchmarks.rollout.watched import readiness, roles, wait
from service.rollout.pointer import Pointer, version_for
from service.rollout.pointer_store import read_pointer
from service.settings import Settings
from tests.end_to_end.processes import Served, free_port

NEXT = "second"
QUIET_S = 1.5
"""From when all replicas tell of a version until it is sure: each looks once a second."""


class Replica:
    """`firstsight serve` that comes back to its address and its folder."""

    def __init__(self, folder: Path, bundle: Path, redis: str, settings: dict[str, Any]) -> None:
        self._folder, self._bundle = folder, bundle
        self._settings = {"redis": redis, "port": free_port()} | settings
        self.served = self._serve()

    def _serve(self) -> Served:
        return Served(self._folder, self._bundle, **self._settings)

    def restart(self) -> None:
        """SIGTERM, wait until it is gone, start it again, wait until it is ready."""
        code = self.served.stop()
        assert code == 0, f"a replica that was told to leave ended with exit code {code}"
        self.start()

    def kill(self) -> None:
        """Kill -9 all of its processes at once."""
        self.served.kill()

    def start(self) -> None:
        """Start it again, and wait until it is ready."""
        self.served = self._serve()


@dataclass(frozen=True)
class Event:
    """Something that was done, from the first step until all was as it should be again (s)."""

    name: str
    began: float
    ended: float


@dataclass(frozen=True)
class Span:
    """A time in which one of these pointers decided who is served by what."""

    began: float
    ended: float
    pointers: tuple[Pointer, ...]


@dataclass
class Timeline:
    """All events, and whoever may have served when."""

    events: list[Event] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)

    def allowed(self, sent: float, came: float, user: str | None) -> set[str]:
        """Return the versions that may answer in this time: a user, or who is none."""
        return {
            version_for(pointer, user)
            for span in self.spans
            if span.began <= came and sent < span.ended
            for pointer in span.pointers
        }

    @contextmanager
    def event(self, name: str) -> Iterator[None]:
        """Note an event, and tell of it on standard error."""
        began = time.monotonic()
        yield
        self.events.append(Event(name, began, time.monotonic()))
        sys.stderr.write(f"{name}: {self.events[-1].ended - began:.1f} s\n")


class Operator:
    """Whoever restarts, kills and rolls out, by signals and by the commands that there are."""

    def __init__(self, replicas: Sequence[Replica], settings: Settings) -> None:
        self.replicas = replicas
        self._settings = settings
        self.timeline = Timeline()
        self._since = -math.inf
        self._pointer = self.pointer()

    def pointer(self) -> Pointer:
        """Return the pointer as it is now."""
        pointer = read_pointer(self._settings)
        assert pointer is not None, "replicas that run have a pointer"
        return pointer

    def rolling_restart(self, between_s: float) -> None:
        """Restart one replica after the other."""
        for number, replica in enumerate(self.replicas, start=1):
            with self.timeline.event(f"restart of replica {number}"):
                replica.restart()
            time.sleep(between_s)

    def kill(self, down_s: float) -> None:
        """Kill -9 the last replica, leave it down for a while, and start it again."""
        with self.timeline.event("kill -9"):
            self.replicas[-1].kill()
            time.sleep(down_s)
            self.replicas[-1].start()

    def roll_out(self, base: Path, incoming: Path, share: float, tried_s: float) -> str:
        """Publish a version, try it on a share of users for a while, then activate it for all."""
        version = as_version(base, incoming / NEXT)
        with self.timeline.event("rollout"):
            command(self._settings, "publish", str(version))
            self._change("activate", NEXT, "--share", str(share))
            time.sleep(tried_s)
            self._change("activate", NEXT)
        return NEXT

    def roll_back(self) -> None:
        """Go back to the version before."""
        with self.timeline.event("rollback"):
            self._change("rollback")

    def end(self) -> None:
        """Close the last span: what comes from now on is not judged."""
        self.timeline.spans.append(Span(self._since, math.inf, (self._pointer,)))

    def _change(self, *words: str) -> None:
        """Change the pointer by a command, and wait until every replica serves by it."""
        began, before = time.monotonic(), self._pointer
        command(self._settings, *words)
        after = self.pointer()
        for replica in self.replicas:
            _wait_until_it_follows(replica.served, after)
        time.sleep(QUIET_S)
        ended = time.monotonic()
        spans = self.timeline.spans
        spans += [Span(self._since, began, (before,)), Span(began, ended, (before, after))]
        self._since, self._pointer = ended, after


def _wait_until_it_follows(served: Served, pointer: Pointer) -> None:
    """Wait until a replica serves by the pointer, and nobody drains who served by another."""

    def follows() -> bool:
        told = readiness(served)
        candidate = told["candidate"] and told["candidate"]["version"]
        return bool((told["version"], candidate) == (pointer.current, pointer.candidate))

    wait(follows, f"a replica does not follow: {pointer}")
    wait(lambda: len(roles(served)["loader"]) == 1, "an old loader drains")
