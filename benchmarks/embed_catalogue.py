"""What do vectors of a catalogue cost, from raw items in a file, beside the tower alone?

Run: python -m benchmarks.embed_catalogue --work DIR [--items 100000] [--rounds 3] [--json FILE]
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.figures import report
from benchmarks.peak import peak_mb
from benchmarks.targets import Target, ratios
from benchmarks.training.peer import cpu_s
from benchmarks.training.world import config, items_table, write_world
from export.bundling import export_run
from export.contract.session import open_session
from export.contract.side import Arrays
from export.contract.tables import read_records
from export.embedder import CHUNK, open_bundle
from export.offline import embed_file
from training.run import run_training

USERS, ITEMS, ROWS = 500, 2_000, 10_000  # of the run whose towers embed


@dataclass(frozen=True)
class Round:
    """CPU seconds of one thread: from file to file, and of the tower's runs on packed arrays."""

    whole_s: float
    bare_s: float


SPEED: Target[Round] = Target(
    "items/s from file to file over onnxruntime alone on packed arrays",
    lambda found: found.bare_s / found.whole_s,
    0.8,
    is_least=True,
)
MEMORY: Target[tuple[float, float]] = Target(
    "peak memory of all items over that of a quarter of them",
    lambda peaks: peaks[1] / peaks[0],
    1.1,
)


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Embed over and over, and tell the ratios beside their targets."""
    bundle = _bundle(asked.work)
    files = [_items(asked.work, count) for count in (asked.items // 4, asked.items)]
    packed = _packed(bundle, files[1])
    session, out = open_session(bundle / "item_tower.onnx"), asked.work / "vectors.parquet"
    rounds = []
    for _ in range(asked.rounds):
        out.unlink(missing_ok=True)  # the kernel takes as long to forget an old file as to write
        whole = cpu_s(lambda: embed_file(bundle, "item", files[1], out))
        bare = cpu_s(lambda: [session.run(["vector"], arrays) for arrays in packed])
        rounds.append(Round(whole, bare))
    embed = ("firstsight", "embed", str(bundle))
    peaks = [peak_mb(*embed, str(one), "--side", "item", "--out", str(out)) for one in files]
    return {
        "ratios": [*ratios([SPEED], rounds), *ratios([MEMORY], [(peaks[0], peaks[1])])],
        "items per second of CPU": round(asked.items / median(one.whole_s for one in rounds)),
        "of onnxruntime alone": round(asked.items / median(one.bare_s for one in rounds)),
        "peak MB of a quarter, and of all": peaks,
    }


def _bundle(work: Path) -> Path:
    """Train a short run on a small world and export it, unless that is done."""
    bundle = work / "bundles" / "films-1"
    if not bundle.exists():
        write_world(work / "world", USERS, ITEMS, ROWS)
        run_training(config(work / "world", batch=512), work / "run")
        export_run(work / "run", bundle)
    return bundle


def _items(work: Path, count: int) -> Path:
    path = work / f"items-{count}.parquet"
    if not path.exists():
        pq.write_table(items_table(count, np.random.default_rng(count)), path)
    return path


def _packed(bundle: Path, items: Path) -> list[Arrays]:
    """Return what the item tower takes, in runs as long as ours."""
    side = open_bundle(bundle)[0].schema.item
    records = read_records(items, side, "item_id").records
    parts = [records[start : start + CHUNK] for start in range(0, len(records), CHUNK)]
    return [side.pack(part, [side.has_preference(one) for one in part]) for part in parts]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    report("embed_catalogue", parser, measure)


if __name__ == "__main__":
    main()
