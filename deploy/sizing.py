"""What a catalogue and its users take: `python -m deploy.sizing --items 1000000 --dim 64`.

Computed, from figures that were measured on catalogues of up to 100,000 items; each constant says
where. `python -m deploy.sizing table` prints the table of docs/operations.md.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from service.rollout.room import BASE_BYTES as ROOM_BASE
from service.rollout.room import ITEM_BYTES as ROOM_ITEM

IndexKind = Literal["hnsw", "compact"]

GB: Final = 1e9
SERVICE: Final = 247e6
"""Supervisor, loader and one worker with their libraries, whatever the catalogue
(`python -m benchmarks.scale`)."""
FAISS: Final = 18e6
"""Of the library that `compact` needs (the same)."""
WORKER: Final = 22e6
"""Each worker more: sessions, buffers and pages of its own (`python -m benchmarks.memory`)."""
GRAPH: Final = 284
"""Of an item in a graph of 16 links beside its vector (docs/index.md)."""
KEPT: Final = 150
"""Of an item's record, id and bookkeeping in memory, with the benchmark's features (the same)."""
RECENT: Final = 800
"""Of an item that was posted since the last handover, beside two vectors more, in each worker
(docs/decisions/0011-growth.md)."""
ON_DISK: Final = 150
"""Of an item in the file of a graph, beside its vector (docs/decisions/0013-compact-index.md)."""
STORED: Final = 408
"""Of a posted item in Redis, beside its record and vectors: keys, rev, place (redis 6.2)."""
VECTOR: Final = 120
"""Of a second version's vector of it in Redis, beside the values."""
USER: Final = 95
"""Of a user in Redis, beside the record."""
ENTRY: Final = 40
"""Of an entry of the item log."""
BUSY: Final = 0.6
"""The share of a core that is aimed at, as by the chart's autoscaler."""


@dataclass(frozen=True)
class Load:
    """What is to be served.

    items: of the bundle; posted: those of them, and others, that are written while it is served.
    item_bytes, user_bytes: of a stored record, as JSON.
    recall_ms: CPU of a recall; log_entries: as the setting has it.
    """

    items: int
    dim: int = 64
    index: IndexKind = "hnsw"
    workers: int = 1
    posted: int = 0
    users: int = 0
    recalls_per_s: float = 0.0
    item_bytes: int = 200
    user_bytes: int = 300
    recall_ms: float = 0.5
    log_entries: int = 1_000_000


def index_bytes(load: Load) -> float:
    """Return what index, vectors and records take, once for all workers; of `compact` mapped."""
    vector = 4 * load.dim
    held = vector + GRAPH if load.index == "hnsw" else load.dim + 8
    return load.items * (held + vector + KEPT)


def serving_bytes(load: Load) -> float:
    """Return what a replica takes that serves one version."""
    workers = SERVICE + WORKER * (load.workers - 1) + FAISS * (load.index == "compact")
    recent = min(load.posted, max(20_000, load.items // 5)) * (RECENT + 8 * load.dim) * load.workers
    return workers + index_bytes(load) + recent


def loading_bytes(load: Load) -> float:
    """Return what a version more is asked for before it is loaded, as the service reckons it."""
    return ROOM_BASE + ROOM_ITEM * load.items + disk_bytes(load) + 5 * _records(load)


def disk_bytes(load: Load) -> float:
    """Return what a bundle takes on disk, towers apart."""
    index = 4 * load.dim + ON_DISK if load.index == "hnsw" else load.dim + 10
    return load.items * (index + 4 * load.dim) + _records(load)


def _records(load: Load) -> float:
    return load.items * load.item_bytes / 8  # in Parquet, what is JSON in Redis


def redis_bytes(load: Load, versions: int = 2) -> float:
    """Return what Redis holds; its rewriting of the append-only file may take as much again."""
    vectors = versions * 4 * load.dim + (versions - 1) * VECTOR
    items = load.posted * (STORED + load.item_bytes + vectors)
    return items + load.users * (USER + load.user_bytes) + load.log_entries * ENTRY


def cores(load: Load) -> float:
    """Return how many cores recalls take, at the share of each that is aimed at."""
    return load.recalls_per_s * load.recall_ms / 1000 / BUSY


def rows(load: Load) -> list[tuple[str, str]]:
    """Return what is told of a load, line by line."""
    serving, loading = serving_bytes(load), loading_bytes(load)
    return [
        ("a replica that serves one version", _gb(serving)),
        ("  limit, with room for a handover", _gb(serving + loading)),
        ("  limit, beside a candidate as well", _gb(serving + 2 * loading)),
        ("  cores for recalls, over all replicas", f"{cores(load):.1f}"),
        ("a bundle on disk", _gb(disk_bytes(load))),
        ("Redis, with vectors of two versions", _gb(redis_bytes(load))),
        ("  maxmemory, with a quarter to spare", _gb(1.25 * redis_bytes(load))),
    ]


SHOWN: Final = tuple(
    Load(items, dim, index, posted=items // 10, users=items)
    for items in (100_000, 1_000_000, 10_000_000)
    for index in get_args(IndexKind)
    for dim in (64, 128)
)


def table() -> str:
    """Return the table of docs/operations.md."""
    names = [name.strip() for name, _ in rows(SHOWN[0]) if "cores" not in name]
    lines = ["| items | dim | index | " + " | ".join(names) + " |", "|---" * (3 + len(names)) + "|"]
    for load in SHOWN:
        told = [value for name, value in rows(load) if "cores" not in name]
        lines.append(f"| {load.items:,} | {load.dim} | {load.index} | " + " | ".join(told) + " |")
    return "\n".join(lines)


def _gb(size: float) -> str:
    return f"{size / GB:.2f} GB"


def main(arguments: Sequence[str]) -> int:
    """Print what a load takes, or the table."""
    if arguments == ["table"]:
        sys.stdout.write(f"{table()}\n")
        return 0
    parser = argparse.ArgumentParser(prog="python -m deploy.sizing", description=__doc__)
    least = Load(items=0)
    parser.add_argument("--items", type=int, required=True, help="of the bundle")
    parser.add_argument("--dim", type=int, default=least.dim)
    parser.add_argument("--index", choices=get_args(IndexKind), default=least.index)
    parser.add_argument("--workers", type=int, default=least.workers, help="of one replica")
    parser.add_argument("--posted", type=int, default=0, help="items written while it is served")
    parser.add_argument("--users", type=int, default=0, help="that are stored")
    parser.add_argument("--recalls-per-s", type=float, default=0.0)
    parser.add_argument("--item-bytes", type=int, default=least.item_bytes, help="as JSON")
    parser.add_argument("--user-bytes", type=int, default=least.user_bytes, help="as JSON")
    parser.add_argument("--recall-ms", type=float, default=least.recall_ms, help="CPU of one")
    parser.add_argument("--log-entries", type=int, default=least.log_entries)
    load = Load(**vars(parser.parse_args(arguments)))
    for name, told in rows(load):
        sys.stdout.write(f"{name:42}{told:>12}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
