"""Reads and encodes a world, in a process of its own: python -m benchmarks.training.encoded DIR."""

import sys
from pathlib import Path

from benchmarks.training.world import config
from training.prepare import make_batches, make_encoders, prepare

if __name__ == "__main__":
    prepared = prepare(config(Path(sys.argv[1]), 1024))
    make_batches(prepared, make_encoders(prepared))
