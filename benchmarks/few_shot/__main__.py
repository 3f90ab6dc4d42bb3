"""Does a generated id vector, or any other use of a few clicks, find a new item's users sooner?

Items are held out but for 0 to 50 clicks each; the towers are trained once with these, as any run
is, and once more for each other `min_count` of the own id. Then each way to place the new items
is measured, beside the same users and the same other items.

Run: python -m benchmarks.few_shot DATA --work DIR [--folds 1,2] [--min-counts 30]
     [--config FILE] [--json FILE] [--set PATH=VALUE]
"""

import argparse
import json
import pickle
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from benchmarks.few_shot.figures import Asked, Figures
from benchmarks.few_shot.reveal import reveal
from benchmarks.few_shot.towers import Towers
from benchmarks.few_shot.ways import Ways
from benchmarks.figures import report
from training.config import read_config
from training.digest import run_digest

CONFIG = Path(__file__).parent / "movielens.yaml"


def trained(
    asked: argparse.Namespace, folder: Path, fold: int, min_count: int
) -> tuple[dict[str, int], Towers]:
    """Return what is revealed and the towers trained with it, which are kept in the folder."""
    kept = folder / f"towers_{fold}_{min_count}.pickle"
    if not kept.is_file():
        data = folder / f"data_{fold}"
        shots = reveal(asked.data, data, fold)
        override = [
            f"data.folder={data.resolve()}",
            f"training.seed={fold + 1}",
            f"item.preference.own_id.min_count={min_count}",
        ]
        towers = Towers.trained(read_config(asked.config, [*override, *asked.set]))
        kept.write_bytes(pickle.dumps((shots, towers)))
    found: tuple[dict[str, int], Towers] = pickle.loads(kept.read_bytes())  # of our own making
    return found


def measure_fold(asked: argparse.Namespace, folder: Path, fold: int) -> dict[str, Figures]:
    """Return the figures of every way on one fold, which are kept in the folder."""
    kept = folder / "_".join(["figures", *map(str, (fold, *asked.min_counts))])
    kept = kept.with_suffix(".json")
    if kept.is_file():
        known: dict[str, Figures] = json.loads(kept.read_text(encoding="utf-8"))
        return known
    shots, towers = trained(asked, folder, fold, 1)
    scale = Asked.of(towers.data, towers.split, shots)
    ways = Ways(towers, shots, fold)
    found: dict[str, Figures] = {}
    for name, items in ways.each():
        found[name] = scale.measure(towers.users, items)
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} fold {fold}, {name}: {found[name]}\n")
    cost = found["cvar"]["others"]["recall@100"]
    for name, items in (("content", ways.content()), ("mean of users", ways.mean_of_users())):
        moved = lifted(ways, items, scale, cost)
        found[f"{name}, lifted"] = scale.measure(towers.users, moved)
    for least in asked.min_counts:
        shots, towers = trained(asked, folder, fold, least)
        name = f"own id from {least} clicks on"
        found[name] = scale.measure(towers.users, Ways(towers, shots, fold).as_trained())
    kept.write_text(json.dumps(found), encoding="utf-8")
    return found


def lifted(ways: Ways, items: Tensor, scale: Asked, cost: float) -> Tensor:
    """Return the items, new ones lifted until recall@100 of other items is down to `cost`."""
    low, high = 0.0, 4.0
    for _ in range(8):
        lift = (low + high) / 2
        left = scale.recall(ways.towers.users, ways.lifted(items, lift), "others")
        low, high = (lift, high) if left > cost else (low, lift)
    return ways.lifted(items, low)


def mean(folds: Sequence[Mapping[str, Figures]]) -> dict[str, Figures]:
    """Return the means over folds."""
    return {
        way: {
            k: {name: float(np.mean([one[way][k][name] for one in folds])) for name in figures}
            for k, figures in of.items()
        }
        for way, of in folds[0].items()
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--folds", type=_numbers, default=[1, 2])
    parser.add_argument("--min-counts", type=_numbers, default=[30])
    parser.add_argument("--set", action="append", default=[])
    report("few_shot", parser, _measure)


def _measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Measure the folds, in a folder of the work folder for this configuration and data."""
    config = read_config(asked.config, [f"data.folder={asked.data.resolve()}", *asked.set])
    kept = asked.work / run_digest(config)[:12]
    folds = [measure_fold(asked, kept, fold) for fold in asked.folds]
    return {"folds": folds, "mean": mean(folds)}


def _numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",") if one]


if __name__ == "__main__":
    main()
