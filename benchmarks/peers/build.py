"""Builds a peer's store in a process of its own: `python -m benchmarks.peers.build NAME FOLDER`.

The vectors are read from `vectors.npy` of the folder. Prints seconds, and seconds of CPU.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.peers.members import member

if __name__ == "__main__":
    name, folder = sys.argv[1], Path(sys.argv[2])
    vectors = np.load(folder / "vectors.npy")
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    member(name)(folder).build(vectors)
    took = {"s": time.perf_counter() - began_s, "cpu_s": time.process_time() - began_cpu_s}
    sys.stdout.write("\n" + json.dumps(took))
