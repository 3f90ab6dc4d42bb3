"""Version after version is rolled out under load, in every way there is."""

from pathlib import Path
from typing import Any, ClassVar

from benchmarks.rollout.scenario import Options, Result, run
from benchmarks.soak.catalogue import DIM
from benchmarks.soak.ledger import Ledger
from benchmarks.soak.scenario import Figures, Say, Scenario


class Rollouts(Scenario):
    """Versions are rolled out, tried, raced for and taken back under load, for `most_s`.

    As many as there is time for, up to `rollouts`; recalls come at `share` of the capacity, `rate`
    writes a second beside them. Each recall has to be answered, as the version says that it names,
    and each acknowledged write to be served in the end: what `python -m benchmarks.rollout` checks.
    At most `degraded_most` of the recalls may be degraded, and in the end the service's memory may
    be `memory_most` of what it was at first.
    """

    name = "rollouts"
    small: ClassVar = {
        "items": 600,
        "rollouts": 2,
        "rate": 20.0,
        "users": 200,
        "bases": 2,
        "measured_s": 0.5,
        "pause_s": 0.2,
        "store_timeout_ms": 10_000,  # a busy machine is not taken for a Redis that hangs
        "memory_most": 2.0,  # of so few items the runtime's own is most
    }
    rate: float = 20.0
    rollouts: int = 200
    most_s: float = 240.0
    users: int = 2000
    bases: int = 3
    share: float = 0.3
    measured_s: float = 5.0
    pause_s: float = 1.0
    store_timeout_ms: int = 50
    degraded_most: float = 0.1
    memory_most: float = 1.1

    def run(self, folder: Path, ledger: Ledger, say: Say) -> Figures:
        """Roll out, and hold what was answered and what is there to what was acknowledged."""
        result = run(folder, self._options())
        for failure in result.failures:
            ledger.fault(failure)
        told = _figures(result)
        self.judge(ledger, told)
        say(f"{told['rollouts']} rollouts, {told['recalls']} recalls")
        return told

    def judge(self, ledger: Ledger, told: Figures) -> None:
        """Hold what was degraded, and the memory, to their bounds."""
        degraded, memory = told["degraded, of the recalls"], told["memory, after of before"]
        if degraded > self.degraded_most:
            most = f"{self.degraded_most:g} at most"
            ledger.fault(f"{degraded} of the recalls were degraded, expected {most}")
        if memory > self.memory_most:
            ledger.fault(f"memory is {memory} of before, expected {self.memory_most:g} at most")

    def _options(self) -> Options:
        return Options(
            items=self.items,
            dim=DIM,
            rollouts=self.rollouts,
            workers=self.workers,
            users=self.users,
            bases=self.bases,
            share=self.share,
            measured_s=self.measured_s,
            writes=self.rate,
            pause_s=self.pause_s,
            most_s=self.most_s,
            settings={
                "linger_s": 1.0,
                "unnamed_kept_s": 0.5,
                "store_timeout_ms": self.store_timeout_ms,
            },
        )


def _figures(result: Result) -> Figures:
    told: dict[str, Any] = result.figures
    swaps: dict[str, Any] = told["recalls"]["by_swap"]
    verdict, final = result.verdict, result.final
    recalls = sum(told["recalls"][when]["requests"] for when in ("outside", "during"))
    return {
        "rollouts": told["rollouts"],
        "of each kind": told["kinds"],
        "publishers refused": told["publishers_refused"],
        "until it is served (s)": told["until_served_s"],
        "capacity, asked (recalls/s)": [told["capacity_rps"], told["rate_rps"]],
        "recalls": recalls,
        "degraded, of the recalls": round(sum(verdict.degraded.values()) / max(1, recalls), 4),
        "versions that answered": len(verdict.versions),
        "scores made again": verdict.scores,
        "items put, removed, unsure": [final.put, final.removed, final.unsure],
        "longer in a swap than before (ms)": swaps.get("bump_ms"),
        "memory, after of before": told["memory_ratio"],
    }
