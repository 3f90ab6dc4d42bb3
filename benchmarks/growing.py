"""Does a run that goes on from yesterday's find tomorrow's clicks as well as a new one, and sooner?

For each of the last days: trained on all rows before it, tested on the rows of that day, from
scratch, from the run of the day before, and that run of the day before as it was.

Run: python -m benchmarks.growing DATA --config examples/kuairand/train.yaml --work DIR [--days 5]
     [--until SECONDS] [--share 1.0] [--epochs 4] [--more 1] [--json FILE]
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.figures import report
from training.config import TrainConfig, read_config
from training.embedded import Embedded
from training.ground import Ground
from training.run import run_training
from training.slices import SLICES
from training.subject import open_subject

DAY_S = 86_400.0
K = 100


def trained(config: TrainConfig, out: Path, parent: Path | None = None) -> float:
    """Train a run and return the seconds of CPU it took."""
    begun_s = time.process_time()
    run_training(config, out, grow_from=parent)
    return time.process_time() - begun_s


def recall(run: Path, config: TrainConfig) -> dict[str, float]:
    """Return a run's recall@100 on the test rows of a configuration, by slice."""
    subject = open_subject(run, None)
    update = {"data": config.data, "split": config.split}
    subject = replace(subject, config=subject.config.model_copy(update=update))
    ground = Ground.of(subject.config, subject.towers.schema)
    embedded = Embedded.of(subject, ground.data, ground.split)
    measured = ground.slices.measure(embedded.scores, (K,))
    return {name: float(measured[name].recall[K]) for name in SLICES if name in measured}


def configured(base: Path, data: Path, moment: float, epochs: int) -> TrainConfig:
    """Return the configuration of one day: rows from the moment on test."""
    return read_config(
        base,
        [
            f"data.folder={data.resolve()}",
            f"split={{kind: first_seen, moment: {moment}}}",
            f"training.epochs={epochs}",
        ],
    )


def day_folders(
    source: Path, work: Path, days: int, until: float, share: float
) -> Iterator[tuple[Path, float]]:
    """Write the data as it stood at the end of each of the last days; give the day's beginning."""
    rows = pq.read_table(source / "interactions.parquet")
    drawn = [crc32(one.encode()) < share * 2**32 for one in rows["user_id"].to_pylist()]
    rows = rows.filter(pa.array(drawn))
    end = min(until, float(np.max(rows["timestamp"].to_numpy())) + 1.0)
    for day in range(days, -1, -1):
        begins = end - (day + 1) * DAY_S
        folder = work / f"data_{day}"
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("users.parquet", "items.parquet"):
            shutil.copyfile(source / name, folder / name)
        known = rows.filter(pc.less(rows["timestamp"], begins + DAY_S))
        pq.write_table(known, folder / "interactions.parquet")
        yield folder, begins


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Train day by day, and return recall by slice and the CPU seconds of training."""
    before: Path | None = None
    figures: list[dict[str, Any]] = []
    for folder, begins in day_folders(asked.data, asked.work, asked.days, asked.until, asked.share):
        name = folder.name.removeprefix("data_")
        new = configured(asked.config, folder, begins, asked.epochs)
        scratch = asked.work / f"scratch_{name}"
        took = trained(new, scratch)
        if before is None:
            before = scratch
            continue
        grown = asked.work / f"grown_{name}"
        more = configured(asked.config, folder, begins, asked.more)
        day = {
            "as it was": {"cpu_s": 0.0, **recall(before, new)},
            "gone on": {"cpu_s": trained(more, grown, before), **recall(grown, new)},
            "from scratch": {"cpu_s": took, **recall(scratch, new)},
        }
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} day {name}: {json.dumps(day)}\n")
        figures.append(day)
        before = grown
    return {"days": figures, "mean": mean(figures)}


def mean(figures: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the means over those that have a figure."""
    found: dict[str, dict[str, float]] = {}
    for way in figures[0]:
        keys = dict.fromkeys(key for one in figures for key in one[way])
        found[way] = {
            key: float(np.mean([one[way][key] for one in figures if key in one[way]]))
            for key in keys
        }
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--until", type=float, default=np.inf)
    parser.add_argument("--share", type=float, default=1.0, help="of the users")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--more", type=int, default=1)
    report("growing", parser, measure)


if __name__ == "__main__":
    main()
