"""Whether bundles fit into the memory that is left, said before any of them is loaded."""

from pathlib import Path
from typing import Final

from export.contract.bundle import BundleLayout, parse_manifest
from export.contract.errors import BundleError

BASE_BYTES: Final = 32 << 20
ITEM_BYTES: Final = 700
TIMES_ON_DISK: Final = {".parquet": 6, ".onnx": 2}
"""What a loaded bundle takes: the runtime's own, the ids and bookkeeping of each item, and its
files: records unpack, a session holds its tables twice, vectors and index are as large as on disk.
Resident memory grew by 29, 62 and 109 MiB for bundles of 1,000, 20,000 and 60,000 items; this gives
33, 56 and 115."""

CGROUP: Final = Path("/sys/fs/cgroup")
MEMINFO: Final = Path("/proc/meminfo")


def check_room(*folders: Path, most_bytes: int = 0) -> None:
    """Check that bundles can be loaded beside all that is in memory now.

    During a handover the old workers are a part of that. Where the machine does not tell (no
    `/proc`), nothing is refused.

    Args:
        folders: The bundles.
        most_bytes: How much each may take; 0: what machine and container have left, for all.

    Raises:
        BundleError: They take more than there is.

    """
    needed = {folder: needed_bytes(folder) for folder in folders}
    for folder, its_bytes in needed.items():
        if most_bytes and its_bytes > most_bytes:
            raise BundleError(f"{folder}: takes {_told(its_bytes, most_bytes)} are allowed")
    free = free_bytes()
    if not most_bytes and free is not None and (together := sum(needed.values())) > free:
        named = " and ".join(map(str, folders))
        verb = "takes" if len(folders) == 1 else "take"
        raise BundleError(f"{named}: {verb} {_told(together, free)} are free")


def _told(needed: int, most: int) -> str:
    return f"about {needed >> 20} MiB of memory, and {most >> 20} MiB"


def needed_bytes(folder: Path) -> int:
    """Return about how much memory a loaded bundle takes, by its files and the count of its items.

    Raises:
        BundleError: The manifest cannot be read.

    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    on_disk = sum(TIMES_ON_DISK.get(path.suffix, 1) * path.stat().st_size for path in files)
    items = parse_manifest(BundleLayout(folder).manifest).items
    return BASE_BYTES + ITEM_BYTES * items + on_disk


def free_bytes() -> int | None:
    """Return how much memory may still be taken here; None: it is not told.

    That is what the machine has left, or what this container's limit leaves if that is less.
    """
    told = [one for one in (_of_machine(), _of_container()) if one is not None]
    return min(told, default=None)


def _of_machine() -> int | None:
    try:
        lines = MEMINFO.read_text().splitlines()
    except OSError:
        return None
    values = {name: text.split()[0] for name, _, text in (line.partition(":") for line in lines)}
    return int(values["MemAvailable"]) * 1024 if "MemAvailable" in values else None


def _of_container() -> int | None:
    """Return what the control group's limit leaves; files that are only cached can go."""
    try:
        limit = (CGROUP / "memory.max").read_text().strip()
        used = int((CGROUP / "memory.current").read_text())
        stat = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    return None if limit == "max" else int(limit) - used + int(stat.get("inactive_file", 0))
