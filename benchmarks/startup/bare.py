"""What no start can do without: imports, one load of the graph, one look at every byte.

`python -m benchmarks.startup.bare BEGUN_S MODULES GRAPH DIM FOLDER` imports the modules that a JSON
file lists, opens the graph and reads the folder's checksums; it prints, as JSON, the seconds that
each took and those since BEGUN_S, a moment of the monotonic clock at which it was to be started.
"""

import sys
import time

STARTED_S = time.monotonic()

import contextlib  # noqa: E402 the clock is read before anything is imported
import hashlib  # noqa: E402
import importlib  # noqa: E402
import json  # noqa: E402
from pathlib import Path  # noqa: E402

OURS = frozenset({"service", "export", "training", "benchmarks", "tests", "firstsight"})
WORKER = "service.processes.worker"


def libraries() -> list[str]:
    """Return the modules of others that a worker imports, in that order."""
    before = frozenset(sys.modules)
    importlib.import_module(WORKER)
    imported = [name for name in sys.modules if name not in before]
    own = OURS | sys.stdlib_module_names
    return [name for name in imported if name.partition(".")[0] not in own and name[0] != "_"]


def main(begun_s: float, modules: str, graph: str, dim: int, folder: str) -> None:
    """Do it, and tell."""
    for name in json.loads(Path(modules).read_bytes()):
        with contextlib.suppress(ImportError):  # a name that only its package can import
            importlib.import_module(name)
    imported_s = time.monotonic()
    import hnswlib

    index = hnswlib.Index(space="ip", dim=dim)
    index.load_index(graph)
    loaded_s = time.monotonic()
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                hashlib.file_digest(file, "sha256")
    read_s = time.monotonic()
    found = {
        "interpreter": STARTED_S - begun_s,
        "imports": imported_s - STARTED_S,
        "load_index": loaded_s - imported_s,
        "checksums": read_s - loaded_s,
        "all": read_s - begun_s,
        "cpu": time.process_time(),
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1] == "libraries":
        sys.stdout.write(json.dumps(libraries()))
    else:
        main(float(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
