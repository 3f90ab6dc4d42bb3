"""What processes hold in memory together, whoever else runs on the machine.

Linux' proportional count (PSS) parts a page among all who have it, so that libraries look smaller
where other programs use them too. Of files a page is therefore counted once here for the processes
that are asked about, and whole.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

MB = 1_000_000
MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ .{4} \S+ \S+ \d+ *(.*)$")


class Memory(NamedTuple):
    """Bytes of some processes together.

    anonymous: what is in no file; a page that forks share counts once.
    files: what is mapped of files; a file counts as much as whoever has most of it.
    """

    anonymous: int
    files: int

    @property
    def total(self) -> int:
        """Both."""
        return self.anonymous + self.files


def memory_of(processes: Iterable[int]) -> Memory:
    """Return the memory of processes together; 0 is this one.

    Raises:
        OSError: One of them is gone, or somebody else's.

    """
    anonymous, most = 0, defaultdict[str, int](int)
    for process in processes:
        folder = Path(f"/proc/{process or 'self'}")
        anonymous += _anonymous(folder)
        for path, size in _files(folder).items():
            most[path] = max(most[path], size)
    return Memory(anonymous, sum(most.values()))


def _anonymous(folder: Path) -> int:
    lines = (folder / "smaps_rollup").read_text().splitlines()
    [line] = [one for one in lines if one.startswith("Pss_Anon:")]
    return _bytes(line)


def _files(folder: Path) -> dict[str, int]:
    """Return by path what is resident of it, less the pages that were written to."""
    found, path = defaultdict[str, int](int), ""
    for line in (folder / "smaps").read_text().splitlines():
        if mapping := MAPPING.match(line):
            path = mapping[1]
        elif path.startswith("/") and line.startswith("Rss:"):
            found[path] += _bytes(line)
        elif path.startswith("/") and line.startswith("Anonymous:"):
            found[path] -= _bytes(line)
    return found


def _bytes(line: str) -> int:
    return int(line.split()[1]) << 10
