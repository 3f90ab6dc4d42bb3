"""How fast does training go, beside a peer and beside its own network without data work?

Run: python -m benchmarks.training --work DIR [--rows 400000] [--large 4000000] [--rounds 3]
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.figures import report
from benchmarks.peak import peaks_mb
from benchmarks.targets import ratios
from benchmarks.training.peer import Peers, peers
from benchmarks.training.rounds import MEMORY, OVER_PEERS, TARGETS, Course
from benchmarks.training.world import config, write_world
from training.prepare import prepare


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Make the world, measure it in rounds, and tell the ratios beside their targets."""
    torch.set_num_threads(1)
    folder = _world(asked, asked.rows)
    course = Course(prepare(config(folder, asked.batch)), asked.steps)
    found, note = _peers(course)
    rounds = [course.round(found) for _ in range(asked.rounds)]
    large = [_world(asked, rows) for rows in (asked.large // 2, asked.large)]
    peaks = [peaks_mb("benchmarks.training.encoded", str(one)) for one in large]
    half, whole = (peak.outside_files for peak in peaks)
    return {
        "ratios": [
            *ratios([*TARGETS, *([OVER_PEERS] if found else [])], rounds),
            *ratios([MEMORY], [(half, whole)]),
        ],
        "torch-rechub": note,
        "TensorFlow Recommenders": "not run: TensorFlow takes gigabytes to install",
        "rows per second": _medians([asdict(one) for one in rounds]),
        "large: rows": [asked.large // 2, asked.large],
        "large: peak MB outside of files of encoding half, and all": [half, whole],
        "large: peak MB, pages of files among them": [peak.whole for peak in peaks],
        "large: bytes outside of files a further row": round(
            (whole - half) * 1e6 / (asked.large / 2)
        ),
    }


def _world(asked: argparse.Namespace, rows: int) -> Path:
    """Write a world of so many rows, unless it is there."""
    folder: Path = asked.work / f"{asked.users}-{asked.items}-{rows}"
    if not (folder / "interactions.parquet").exists():
        write_world(folder, asked.users, asked.items, rows)
    return folder


def _peers(course: Course) -> tuple[Peers, str]:
    prepared = course.prepared
    try:
        found = peers(prepared.config, prepared.schema, course.batches, course.steps)
    except ImportError as error:
        return {}, f"not run: {error}"
    return found, "run"


def _medians(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    first = rounds[0]
    return {
        name: _medians([one[name] for one in rounds])
        if isinstance(first[name], dict)
        else round(median(one[name] for one in rounds))
        for name in first
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--work", type=Path, required=True)
    for name, default in (
        ("users", 20_000),
        ("items", 5_000),
        ("rows", 400_000),
        ("large", 4_000_000),
        ("batch", 1024),
        ("steps", 40),
        ("rounds", 3),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    report("training", parser, measure)


if __name__ == "__main__":
    main()
