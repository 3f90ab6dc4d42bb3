"""What an opened index holds in memory: told by the kernel, of a process that opened nothing else.

Run by the benchmark, with a folder of `vectors.npy`, `index`, `settings.json` and `queries.npy`.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from export.index import IndexConfig
from export.index.base import IndexSettings, VectorIndex, Vectors
from export.index.clustered import clustered_vectors
from export.index.file import sha256_of


def held(index: VectorIndex, settings: IndexSettings, vectors: Vectors, queries: Vectors) -> Any:
    """Return bytes a vector of an index that was built, opened and searched in its own process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        index.save(folder / "index")
        np.save(folder / "vectors.npy", vectors)
        np.save(folder / "queries.npy", queries)
        (folder / "settings.json").write_text(settings.model_dump_json())
        command = [sys.executable, "-m", "benchmarks.index.memory", name]
        said = subprocess.run(command, check=True, capture_output=True, text=True)
        return json.loads(said.stdout)


def memory() -> tuple[int, int]:
    """Return this process's bytes of its own, and those of files that it has mapped and touched."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    values = {key: int(rest.split()[0]) << 10 for key, _, rest in (x.partition(":") for x in lines)}
    return values["Anonymous"], values["Rss"] - values["Anonymous"]


def main() -> None:
    """Open the index as a loader does, search it, and print what was added to this process."""
    folder = Path(sys.argv[1])
    raw = json.loads((folder / "settings.json").read_text())
    config: IndexConfig = TypeAdapter(IndexConfig).validate_python(raw)
    queries = np.load(folder / "queries.npy")
    small = clustered_vectors(3000, queries.shape[1])
    config.build(small, threads=1).search(queries[:10], 10)  # the libraries are there now
    is_mapped = config.kind == "compact"
    sha256 = sha256_of(folder / "index")
    marks = [memory()]
    vectors = np.load(folder / "vectors.npy", mmap_mode="r" if is_mapped else None)
    vectors.flags.writeable = False
    marks.append(memory())
    index = config.load(folder / "index", sha256=sha256, vectors=vectors)
    for query in queries:
        index.search(query[None], 100)
    marks.append(memory())
    (start, start_file), (read, _), (end, end_file) = marks
    found = {
        "vectors, own": read - start,
        "index, own": end - read,
        "files, mapped": end_file - start_file,
    }
    print(json.dumps({name: value / len(vectors) for name, value in found.items()}))  # noqa: T201


if __name__ == "__main__":
    main()
