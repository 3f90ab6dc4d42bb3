"""What the demo makes of a configuration and a seed: where its run and bundle lie."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from training.config import read_config
from training.digest import run_digest

RUNS, BUNDLES = Path("runs"), Path("bundles")
COLD_ODDS = 2
"""train.yaml is set for recall; whoever wants new videos seen among the known ones says so."""


@dataclass(frozen=True)
class Made:
    """Where a seed's run and bundle lie: folders of their own for each configuration and data.

    The bundle keeps its version, `kuairand-1`, so its folder, the users beside it and the Redis
    that knows it as the active one lie below a name with the digest.
    """

    config: Path
    seed: int

    @property
    def overrides(self) -> list[str]:
        """What differs from the configuration's file."""
        return [f"training.seed={self.seed}", f"losses.in_batch_softmax.cold_odds={COLD_ODDS}"]

    @cached_property
    def name(self) -> str:
        """The name of the run, by what it is made of."""
        config = read_config(self.config, self.overrides)
        return f"kuairand-{self.seed}-{run_digest(config)[:12]}"

    @property
    def run(self) -> Path:
        """The run folder."""
        return RUNS / self.name

    @property
    def bundle(self) -> Path:
        """The bundle's folder."""
        return BUNDLES / self.name / f"kuairand-{self.seed}"

    @property
    def redis(self) -> Path:
        """The folder of the embedded Redis."""
        return Path(".firstsight") / self.name

    @property
    def is_trained(self) -> bool:
        """Whether the run is there, and finished."""
        return (self.run / "metrics.json").exists()

    def why(self) -> str:
        """Say whether the run is used again or trained, and why."""
        what = f"{self.config.name} and its data"
        if self.is_trained:
            return f"using {self.run} again: {what} are as they were when it was trained"
        if self.run.exists():
            return f"{self.run} is not finished: its training goes on"
        if older := sorted(RUNS.glob(f"kuairand-{self.seed}-*/metrics.json")):
            return f"training anew: {what} are others than those of {older[-1].parent}"
        return f"training: there is no run of {what} yet"
