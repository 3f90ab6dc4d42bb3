"""Does a run on one tab of an app help where another tab has few rows?

Trained on all rows of one tab; then on a hundredth of another tab's rows, from that run and from
scratch, and that run as it was: all tested on the other rows of that tab. Some seeds, each with a
hundredth of its own.

Run: python -m benchmarks.transfer DATA --config examples/kuairand/train.yaml --work DIR
     [--source 1] [--target 4] [--share 0.01] [--seeds 3] [--epochs 4] [--more 10] [--json FILE]
"""

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.figures import report
from benchmarks.growing import mean, recall, trained
from training.config import TrainConfig, read_config

GIVEN = "split={kind: given, validation: {pairs: 0.2, items: 0.0, users: 0.0}}"


def tab_folder(source: Path, folder: Path, rows: pa.Table, is_train: NDArray[np.bool_]) -> Path:
    """Write a data folder of these rows, the others of which test."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("users.parquet", "items.parquet"):
        shutil.copyfile(source / name, folder / name)
    part = pa.array(np.where(is_train, "train", "test").tolist())
    rows = rows.set_column(rows.column_names.index("split"), "split", part)
    pq.write_table(rows, folder / "interactions.parquet")
    return folder


def configured(base: Path, data: Path, seed: int, *more: str) -> TrainConfig:
    """Return the configuration of one tab: no row counts less for its age, all items compete."""
    overrides = [
        f"data.folder={data.resolve()}",
        GIVEN,
        f"training.seed={seed}",
        "training.half_life=null",
        "training.select={warm: 0, cold_item: 0, cold_user: 0, all: 1}",
        *more,
    ]
    return read_config(base, overrides)


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Train and return recall by slice and the CPU seconds of training, by seed and on average."""
    rows = pq.read_table(asked.data / "interactions.parquet")
    of_tab = {
        name: rows.filter(pc.equal(rows["tab"], name)) for name in (asked.source, asked.target)
    }
    first = of_tab[asked.source]
    whole = tab_folder(asked.data, asked.work / "source", first, np.ones(len(first), bool))
    config = configured(asked.config, whole, 1, f"training.epochs={asked.epochs}")
    source = asked.work / "source_run"
    if not (source / "metrics.json").is_file():  # the costly part is kept for other targets
        trained(config, source)
    figures = []
    for seed in range(1, asked.seeds + 1):
        target = of_tab[asked.target]
        drawn = np.random.default_rng(seed).random(len(target)) < asked.share
        data = tab_folder(asked.data, asked.work / f"target_{seed}", target, drawn)
        few = (f"training.epochs={asked.more}", f"training.patience={asked.more}")
        config = configured(asked.config, data, seed, *few, "training.batch=64")
        grown, scratch = (asked.work / f"{way}_{seed}" for way in ("grown", "scratch"))
        one = {
            "as it was": {"cpu_s": 0.0, "rows": 0, **recall(source, config)},
            "gone on": {"cpu_s": trained(config, grown, source), **recall(grown, config)},
            "from scratch": {"cpu_s": trained(config, scratch), **recall(scratch, config)},
        }
        one["gone on"]["rows"] = one["from scratch"]["rows"] = int(drawn.sum())
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} seed {seed}: {json.dumps(one)}\n")
        figures.append(one)
    return {"source": {"rows": len(first)}, "seeds": figures, "mean": mean(figures)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--source", default="1")
    parser.add_argument("--target", default="4")
    parser.add_argument("--share", type=float, default=0.01)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--more", type=int, default=10)
    report("transfer", parser, measure)


if __name__ == "__main__":
    main()
