"""The n-th write, sync, rename and removal fails, or is the last thing before a kill; for every n.

After each, the snapshots that were whole are there still or a newer one is, and what was left
behind is gone after the next one.
"""

import errno
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.generation import Generation
from service.snapshot import Snapshots, disk
from service.store import LogId, Position
from tests.service.made import made_generation, unit_vectors
from tests.service.snapshot.made import (
    EPOCH,
    VERSION,
    assert_same,
    changed_generation,
    write_snapshot,
)

STEPS = ("write", "sync", "rename", "remove")


class Killed(BaseException):
    """Stands for the end of the process: nothing that would still clean up does anything."""


class Disk:
    """Counts the steps, and at the n-th one of a kind fails or is killed."""

    def __init__(self, step: str, n: int, kills: bool) -> None:
        self.step, self.n, self.kills = step, n, kills
        self.seen = 0
        self.is_dead = False

    def wrap(self, name: str, usual: Callable[..., None]) -> Callable[..., None]:
        def wrapped(*arguments: object) -> None:
            if self.is_dead:
                raise Killed
            if name == self.step:
                self.seen += 1
                if self.seen == self.n:
                    self.fail(name, arguments)
            usual(*arguments)

        return wrapped

    def fail(self, name: str, arguments: tuple[object, ...]) -> None:
        if name == "write":  # some of it is written
            descriptor, data = arguments
            part = memoryview(data).cast("B")  # type: ignore[arg-type]
            REAL["write"](descriptor, part[: len(part) // 2])
        if self.kills:
            self.is_dead = True
            raise Killed
        raise OSError(errno.ENOSPC, "No space left on device")


REAL: dict[str, Callable[..., None]] = {name: getattr(disk, name) for name in STEPS}


@pytest.fixture(autouse=True)
def real_disk() -> Iterator[None]:
    yield
    for name, usual in REAL.items():
        setattr(disk, name, usual)


def break_disk(broken: Disk) -> None:
    for name, usual in REAL.items():
        setattr(disk, name, broken.wrap(name, usual))


def mend_disk() -> None:
    for name, usual in REAL.items():
        setattr(disk, name, usual)


def write_and_prune(snapshots: Snapshots, generation: Generation) -> None:
    write_snapshot(snapshots, generation)
    snapshots.prune(VERSION, LogId(0, 0))


def later(generation: Generation, ms: int) -> Generation:
    generation.position = Position(EPOCH, LogId(ms, 0))
    return generation


@pytest.mark.parametrize("kills", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_after_every_failure_old_or_new_is_there_and_whole(
    tmp_path: Path, step: str, kills: bool
) -> None:
    generation = changed_generation()
    for n in itertools.count(1):
        snapshots = Snapshots(tmp_path / str(n), 2)
        for ms in (1, 2):
            write_and_prune(snapshots, later(generation, ms))
        broken = Disk(step, n, kills)
        break_disk(broken)
        failed = False
        try:
            write_and_prune(snapshots, later(generation, 3))
        except (OSError, Killed):
            failed = True
        mend_disk()
        new = made_generation(unit_vectors(5, seed=1))
        found = snapshots.newest(new.bundle, EPOCH)
        assert found is not None
        assert found.facts.position.cursor.ms in ((2, 3) if failed else (3,))
        assert found.folder.name == f"{found.facts.position.cursor.ms:08d}"
        for item, vector in found.rows:
            new.apply(item, vector)
        assert_same(new, generation)
        write_and_prune(snapshots, later(generation, 4))
        names = sorted(path.name for path in (snapshots.folder / VERSION).iterdir())
        assert len(names) == 2, names
        assert all(name.isdigit() for name in names), names
        if not failed:
            assert broken.seen < n
            assert n > 1, f"{step} is never asked of the disk"
            return


def test_a_disk_that_holds_something_else_than_was_written_is_noticed(tmp_path: Path) -> None:
    def lossy(descriptor: int, data: object) -> None:
        raw = bytearray(memoryview(data).cast("B"))  # type: ignore[arg-type]
        raw[len(raw) // 2] ^= 1
        REAL["write"](descriptor, raw)

    disk.write = lossy
    generation = changed_generation()
    with pytest.raises(Exception, match="changed since it was written"):
        write_snapshot(Snapshots(tmp_path, 2), generation)
    assert Snapshots(tmp_path, 2).numbers(VERSION) == []
