"""What every scenario is: its parameters, in full and small, and a run that tells what it found."""

import contextlib
import json
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from benchmarks.machine import machine
from benchmarks.soak.catalogue import make_bundle, places_like
from benchmarks.soak.ledger import Ledger
from benchmarks.soak.writers import Writers, make_writers
from export.contract.strict import Strict
from export.embedder import Vectors
from tests.end_to_end.processes import Served

Scale = Literal["small", "full"]
Say = Callable[[str], None]
Figures = dict[str, Any]
VERSION = "soak-1"


class Scenario(Strict):
    """One scenario; its fields are parameters, with the values of the full scale.

    `seed` draws the catalogue, what clients write, and which process is killed when. `clients`
    write `rate` times a second together: each to `new_ids` ids that no bundle knows, and all to
    `old_share` of the bundle's `items`; with `posts` of absent items for each removal.
    """

    name: ClassVar[str]
    small: ClassVar[dict[str, Any]] = {}
    seed: int = 1
    items: int = 20_000
    clients: int = 4
    rate: float = 100.0
    workers: int = 2
    new_ids: int = 20_000
    old_share: float = 0.05
    posts: int = 3

    @classmethod
    def scaled(cls, scale: Scale, **chosen: object) -> Self:
        """Return it at a scale; what is chosen wins."""
        return cls.model_validate((cls.small if scale == "small" else {}) | chosen)

    @property
    def told(self) -> str:
        """What it does, in a line."""
        return (type(self).__doc__ or "").splitlines()[0]

    @abstractmethod
    def run(self, folder: Path, ledger: Ledger, say: Say) -> Figures:
        """Do it in an empty folder; return what was measured. Faults go into the ledger."""

    def bundle(self, folder: Path) -> tuple[Path, Vectors]:
        """Write the bundle; return its path, and its vectors float32[items, dim]."""
        path = folder / "bundles" / VERSION
        return path, make_bundle(path, self.items, self.seed)

    @contextlib.contextmanager
    def served(
        self, folder: Path, bundle: Path, *options: str, **settings: object
    ) -> Iterator[Served]:
        """Run `firstsight serve` with the scenario's workers; killed at the end, whatever was."""
        served = Served(
            folder / "data", bundle, "--workers", str(self.workers), *options, **settings
        )
        try:
            yield served
        finally:
            served.kill()

    def writers(self, served: Served, ledger: Ledger, vectors: Vectors) -> Writers:
        """Make clients, which also write a share of the bundle's items."""
        old = [f"i{number}" for number in range(round(self.old_share * len(vectors)))]
        for one, vector in zip(old, vectors, strict=False):
            ledger.known(one, vector)
        return make_writers(
            served.port,
            ledger,
            self.seed,
            clients=self.clients,
            rate=self.rate,
            new=self.new_ids,
            old=old,
            posts=self.posts,
            places=places_like(self.items, self.seed),
        )


def result_of(scenario: Scenario, folder: Path, say: Say) -> Figures:
    """Run a scenario; return its document, in which `faults` is empty where all promises held."""
    ledger, begun_s = Ledger(), time.monotonic()
    figures: Figures = {}
    say(f"{scenario.name}: seed {scenario.seed}; {scenario.told}")
    try:
        figures = scenario.run(folder, ledger, say)
    except Exception as error:  # a run of an hour tells of its fault in the end, whatever that is
        ledger.fault(f"{type(error).__name__}: {error}")
    return {
        "name": scenario.name,
        "machine": machine(),
        "parameters": json.loads(scenario.model_dump_json()),
        "figures": {
            "seconds": round(time.monotonic() - begun_s, 1),
            "writes": len(ledger.writes),
            "answers": dict(sorted(ledger.statuses.items())),
            **figures,
        },
        "faults": ledger.faults,
    }
