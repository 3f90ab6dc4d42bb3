"""The parts of one serving process, wired together by `app` and used by `routes`."""

from dataclasses import dataclass
from typing import Any, Literal

from service.errors import NotReady
from service.payloads import ReadyState
from service.processes.control import WorkerControl
from service.serving import Serving
from service.settings import Settings
from service.store import Link
from service.use_cases import UseCases

WaitingFor = Literal["bundle", "store", "index"]

WORST_FIRST = ("replaying", "degraded", "ready")


@dataclass(frozen=True)
class Parts:
    """All parts; without a bundle nothing is served but probes."""

    settings: Settings
    control: WorkerControl
    link: Link | None
    serving: Serving | None

    def ready(self) -> Serving:
        """Return the versions that are served.

        Raises:
            NotReady: There is no bundle yet.

        """
        if self.serving is None:
            raise NotReady("bundle")
        return self.serving

    def readiness(self) -> tuple[int, dict[str, Any]]:
        """Return the status of `/readyz` and its body; asks nobody and waits for nothing."""
        state, waiting_for = self._state()
        current = None if self.serving is None else self.serving.current
        durability = None if self.link is None else self.link.durability
        body = {
            "state": state,
            **_facts(current),
            "candidate": self._candidate(),
            "refused": self.refused,
            "waiting_for": waiting_for,
            "durability": None if durability is None else durability.level,
            "remedy": None if durability is None else durability.remedy,
        }
        return (200 if state in ("ready", "degraded") else 503), body

    def _candidate(self) -> dict[str, Any] | None:
        candidate = None if self.serving is None else self.serving.candidate
        if self.serving is None or candidate is None:
            return None
        return {"share": self.serving.share(candidate.version), **_facts(candidate)}

    @property
    def refused(self) -> str | None:
        """What was to be served and cannot be: by the last handover, or by this process' loader."""
        if self.control.refusal is not None or self.serving is None:
            return self.control.refusal
        return self.serving.refusal()

    def _state(self) -> tuple[ReadyState, WaitingFor | None]:
        if self.control.is_leaving:
            return "draining", None
        if self.serving is None or self.link is None:
            return "loading", "bundle"
        if self.link.is_open:
            return "degraded", "store"
        states = [_state_of(cases) for cases in self.serving.all]
        return min(states, key=lambda one: WORST_FIRST.index(one[0]))


def _facts(cases: UseCases | None) -> dict[str, Any]:
    """Return how far one version is."""
    return {
        "version": None if cases is None else cases.version,
        "log_id": None if cases is None else cases.follower.applied,
        "lag": None if cases is None else cases.follower.lag.entries,
        "checksum": None if cases is None else cases.generation.checksum,
    }


def _state_of(cases: UseCases) -> tuple[ReadyState, WaitingFor | None]:
    follower = cases.follower
    if follower.state == "connecting":
        return "degraded", "store"
    if follower.state == "following":
        return "ready", None
    # Reading all items again, after a reset of the log, does not make what is served worse.
    return ("degraded", "index") if follower.has_loaded else ("replaying", "index")
