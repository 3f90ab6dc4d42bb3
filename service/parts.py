"""The parts of one serving process, wired together by `app` and used by `routes`."""

from dataclasses import dataclass
from typing import Any, Literal

from service.control import WorkerControl
from service.embed import Embed
from service.errors import NotReady
from service.generation import Generation
from service.items import Items
from service.recall import Recaller
from service.refresh import Follower
from service.settings import Settings
from service.similar import Similar
from service.users import Users

WaitingFor = Literal["bundle", "store", "index"]


@dataclass(frozen=True)
class UseCases:
    """What a process that has a generation can do."""

    generation: Generation
    recaller: Recaller
    items: Items
    users: Users
    similar: Similar
    embed: Embed
    follower: Follower


@dataclass(frozen=True)
class Parts:
    """All parts; without a bundle there are no use cases, only probes."""

    settings: Settings
    control: WorkerControl
    use_cases: UseCases | None

    def ready(self) -> UseCases:
        """Return the use cases.

        Raises:
            NotReady: There is no bundle yet.

        """
        if self.use_cases is None:
            raise NotReady("bundle")
        return self.use_cases

    def readiness(self) -> tuple[int, dict[str, Any]]:
        """Return the status of `/readyz` and its body; asks nobody and waits for nothing."""
        state, waiting_for = self._state()
        cases = self.use_cases
        body = {
            "state": state,
            "version": None if cases is None else cases.generation.version,
            "log_id": None if cases is None else cases.follower.applied,
            "lag": None if cases is None else cases.follower.lag_entries,
            "waiting_for": waiting_for,
        }
        return (200 if state in ("ready", "degraded") else 503), body

    def _state(self) -> tuple[str, WaitingFor | None]:
        if self.control.is_leaving:
            return "draining", None
        if self.use_cases is None:
            return "loading", "bundle"
        follower = self.use_cases.follower
        if follower.state == "following":
            return "ready", None
        if follower.state == "connecting":
            return "degraded", "store"
        # Reading all items again, after a reset of the log, does not make what is served worse.
        return ("replaying", "index") if follower.counts.loads == 0 else ("degraded", "index")
