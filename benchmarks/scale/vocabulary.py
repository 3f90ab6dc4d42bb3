"""What a vocabulary takes in each worker, which opens towers of its own.

`python -m benchmarks.scale.vocabulary FILE WORDS` writes a user tower of so many words; without
WORDS it opens one, runs it, and prints the bytes of the process that are in no file.
"""

import sys
from pathlib import Path

from benchmarks.recall_http.records import draw_records, make_schema
from benchmarks.recall_http.tower import tower
from benchmarks.resident import memory_of
from export.contract.encoder import build_encoder
from export.contract.schema import Schema
from export.contract.session import open_session
from export.tower_file import TowerFile

FEW = 10


def schema_of(words: int) -> Schema:
    """Return a schema whose user has one feature of so many words: the clusters of as many."""
    return make_schema(words * words)


def write_tower(path: Path, words: int) -> None:
    """Write a user tower with a vocabulary of this size, and a vector for each of its words."""
    schema = schema_of(words)
    encoder, program = build_encoder(schema, "user"), tower(schema, "user")
    TowerFile.join(schema, "user", encoder, program, {}).save(path)


def main(path: Path) -> None:
    """Open it, run it, and tell."""
    schema = schema_of(FEW)
    session = open_session(path)
    record = schema.user.parse(next(draw_records("user", FEW * FEW, 1, 0)))
    session.run(["vector"], schema.user.pack([record], [True]))
    sys.stdout.write(str(memory_of([0]).anonymous))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        write_tower(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        main(Path(sys.argv[1]))
