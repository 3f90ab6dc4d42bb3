"""What a log of so many rows takes to be learned from."""

from pathlib import Path

import torch
from pydantic import PositiveFloat

from benchmarks.peak import peaks_mb
from benchmarks.training.rounds import Course
from benchmarks.training.world import config, write_world
from export.contract.strict import Strict
from training.prepare import prepare

USERS, ITEMS, BATCH, STEPS = 20_000, 5_000, 1024, 40


class Learned(Strict):
    """Of one log.

    encoded_s: to encode all rows, declared statistics among them, with all cores by the clock.
    epoch_s: CPU of an epoch with one thread, by that of STEPS steps.
    memory_bytes: the most that is held in no file while tables are read and rows encoded.
    """

    encoded_s: PositiveFloat
    epoch_s: PositiveFloat
    memory_bytes: PositiveFloat


def learned(folder: Path, rows: int) -> Learned:
    """Measure a log of so many rows, of as many users and films as any other."""
    world = folder / f"log-{rows}"
    if not (world / "interactions.parquet").exists():
        write_world(world, USERS, ITEMS, rows)
    torch.set_num_threads(1)
    found = Course(prepare(config(world, BATCH)), STEPS).round({})
    return Learned(
        encoded_s=rows / found.encoded,
        epoch_s=rows / found.ours,
        memory_bytes=1e6 * peaks_mb("benchmarks.training.encoded", str(world)).outside_files,
    )
