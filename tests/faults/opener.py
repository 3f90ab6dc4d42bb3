"""Opens snapshots in a process of its own: `python -m tests.faults.opener`.

Reads folders from standard input, one a line, and answers each with what it made of it. A crash
ends the process, which the asking one sees.
"""

import sys
from pathlib import Path

from service.snapshot import SnapshotError
from service.snapshot.format import read_snapshot
from tests.service.made import made_generation, unit_vectors


def main() -> None:
    bundle = made_generation(unit_vectors(5, seed=1)).bundle
    for line in sys.stdin:
        folder = Path(line.rstrip("\n"))
        try:
            snapshot = read_snapshot(folder, bundle)
        except SnapshotError:
            said = "refused"
        else:
            generation = made_generation(unit_vectors(5, seed=1))
            for item, vector in snapshot.rows:
                generation.apply(item, vector)
            said = f"{generation.checksum} {len(generation)}"
        sys.stdout.write(said + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
