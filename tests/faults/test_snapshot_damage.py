"""Bytes flipped and files cut: no snapshot that was changed is used, and none ends a process.

200 mutations by default; `MUTATIONS=10000` in the environment makes so many, `SEED` other ones.
"""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from service.processes.preparation import restore
from service.snapshot import Snapshots
from tests.service.made import made_generation, unit_vectors
from tests.service.snapshot.made import EPOCH, assert_same, changed_generation, write_snapshot

MUTATIONS = int(os.environ.get("MUTATIONS", "200"))
SEED = int(os.environ.get("SEED", "1"))


class Opener:
    """The process that opens; its end is a failure."""

    def __init__(self, module: str = "tests.faults.opener") -> None:
        self._module = module

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()

    def open(self, folder: Path) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{folder}\n")
        self.process.stdin.flush()
        said = self.process.stdout.readline().strip()
        assert said, f"the process that opened {folder} ended"
        return said


@pytest.fixture(scope="module")
def opener() -> Iterator[Opener]:
    with Opener() as opener:
        yield opener


def mutate(path: Path, rng: random.Random) -> str:
    """Change a file by one of the ways that disks and hands have; say which."""
    data = bytearray(path.read_bytes())
    place = rng.randrange(len(data))
    match rng.randrange(5):
        case 0:
            data[place] ^= 1 << rng.randrange(8)
            what = f"bit flipped at {place}"
        case 1:
            data = data[:place]
            what = f"cut at {place}"
        case 2:
            data += bytes(rng.randrange(256) for _ in range(1 + rng.randrange(64)))
            what = "more at the end"
        case 3:
            length = 1 + rng.randrange(64)
            data[place : place + length] = bytes(len(data[place : place + length]))
            what = f"zeros at {place}"
        case _:
            del data[place : place + 1 + rng.randrange(8)]
            what = f"bytes missing at {place}"
    path.write_bytes(data)
    return what


def test_a_changed_snapshot_is_refused_and_crashes_nothing(tmp_path: Path, opener: Opener) -> None:
    rng = random.Random(SEED)
    generation = changed_generation()
    whole = write_snapshot(Snapshots(tmp_path / "whole", 2), generation)
    right = f"{generation.checksum} {len(generation)}"
    assert opener.open(whole) == right
    names = sorted(path.name for path in whole.iterdir())
    copy, done = tmp_path / "copy", []
    for n in range(MUTATIONS):
        shutil.copytree(whole, copy)
        name = names[n % len(names)]
        before = (copy / name).read_bytes()
        what = mutate(copy / name, rng)
        expected = right if (copy / name).read_bytes() == before else "refused"
        assert opener.open(copy) == expected, f"seed {SEED}, mutation {n}: {name}, {what}"
        done.append(what)
        shutil.rmtree(copy)
    assert len(done) == MUTATIONS


@pytest.mark.parametrize("name", ["items.parquet", "manifest.json", "SHA256SUMS"])
def test_every_cut_of_a_file_is_refused_and_the_older_one_serves(tmp_path: Path, name: str) -> None:
    generation = changed_generation()
    snapshots = Snapshots(tmp_path, 2)
    write_snapshot(snapshots, generation)
    path = write_snapshot(snapshots, generation) / name
    size = path.stat().st_size
    for cut in sorted({0, 1, 4, size // 2, size - 5, size - 1}, reverse=True):
        os.truncate(path, cut)
        new = made_generation(unit_vectors(5, seed=1))
        found = snapshots.newest(new.bundle, EPOCH)
        assert found is not None
        assert found.folder.name == "00000001"
        restore(new, snapshots, EPOCH)
        assert_same(new, generation)
