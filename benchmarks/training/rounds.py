"""One round: rows a second of CPU of our loop, of it without data and of peers; rows encoded."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any

import torch

from benchmarks.targets import Target
from benchmarks.training.peer import ITS_OWN, Peers, cpu_s
from training import loop
from training.batches import Batch, Batches
from training.model import TwoTower
from training.prepare import Prepared, make_batches, make_encoders

KEPT = 4  # batches that are used again and again


@dataclass(frozen=True)
class Few(Batches):
    """The first `steps` batches of an epoch."""

    steps: int = 1

    def epoch(self, number: int) -> Iterator[Batch]:
        """Give them, made as they are asked for."""
        return islice(super().epoch(number), self.steps)


@dataclass(frozen=True)
class Kept(Few):
    """As many, but of a few that are made already: all work on data is done."""

    made: tuple[Batch, ...] = ()

    def epoch(self, number: int) -> Iterator[Batch]:
        """Give them in turn."""
        return (self.made[step % len(self.made)] for step in range(self.steps))


@dataclass(frozen=True)
class Round:
    """Rows a second of CPU, of one thread; those encoded by the clock, on all cores."""

    ours: float
    without_data: float
    peers: dict[str, float]
    encoded: float


TARGETS: tuple[Target[Round], ...] = (
    Target(
        "rows/s of our loop over the same without data work",
        lambda found: found.ours / found.without_data,
        0.85,
        is_least=True,
    ),
    Target(
        "millions of rows encoded a second, declared statistics among them",
        lambda found: found.encoded / 1e6,
        1.0,
        is_least=True,
    ),
)
MEMORY: Target[tuple[float, float]] = Target(
    "peak memory outside of files of encoding all rows over that of half of them",
    lambda peaks: peaks[1] / peaks[0],
    1.1,
)
OVER_PEERS: Target[Round] = Target(
    "rows/s of our loop over torch-rechub's own",
    lambda found: found.ours / found.peers[ITS_OWN],
    3.0,
    is_least=True,
)


class Course:
    """What is measured round after round: the same rows, the same number of steps."""

    def __init__(self, prepared: Prepared, steps: int) -> None:
        config = prepared.config
        self.prepared = prepared
        self.batches = make_batches(prepared, make_encoders(prepared))
        self.steps = min(steps, len(self.batches.users) // config.training.batch)
        parts: dict[str, Any] = {f.name: getattr(self.batches, f.name) for f in fields(Batches)}
        self.few = Few(**parts, steps=self.steps)
        made = tuple(islice(self.batches.epoch(0), KEPT))
        self.kept = Kept(**parts, steps=self.steps, made=made)
        torch.manual_seed(config.training.seed)
        self.model = TwoTower(config, prepared.schema)
        self.optimizer = loop.optimiser(config, self.model)
        self._trained(self.kept)  # so that the first round is like the others

    def round(self, peers: Peers) -> Round:
        """Measure everything once, in turn."""
        return Round(
            ours=self._trained(self.few),
            without_data=self._trained(self.kept),
            peers={name: rows_per_s() for name, rows_per_s in peers.items()},
            encoded=len(self.prepared.log) / self._encoding_s(),
        )

    def _trained(self, batches: Batches) -> float:
        config, rows = self.prepared.config, self.steps * self.batches.config.training.batch
        run = (config, self.model, self.optimizer, batches, loop.Progress(), _nobody)
        return rows / cpu_s(lambda: loop.run_epoch(*run))

    def _encoding_s(self) -> float:
        begun_s = time.perf_counter()
        make_batches(self.prepared, make_encoders(self.prepared))
        return time.perf_counter() - begun_s


def _nobody(step: int, loss: float) -> None:
    """Nobody is told of a step."""
