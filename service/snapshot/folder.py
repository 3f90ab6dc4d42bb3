"""The folder of snapshots: who may write, which is the newest, which go."""

import contextlib
import fcntl
import logging
import math
import os
import re
import secrets
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from export.contract.bundle import Bundle
from service.observe import SNAPSHOTS
from service.settings import Settings
from service.snapshot import disk
from service.snapshot.format import (
    Snapshot,
    SnapshotError,
    SnapshotFacts,
    Writer,
    read_facts,
    read_snapshot,
)
from service.store import LogId

logger = logging.getLogger(__name__)

NUMBER = re.compile(r"[0-9]{8}")
UNFINISHED = ".unfinished"


def kept_in(settings: Settings) -> "Snapshots":
    """Return the snapshots of a service: those of one data folder and prefix."""
    return Snapshots(settings.data_folder / "snapshots" / settings.prefix, settings.snapshots_kept)


class Snapshots:
    """`<version>/<number>` under one folder; a higher number is newer, whatever a clock says.

    One process writes at a time, whoever holds the lock. A snapshot has its name once it is whole.
    """

    def __init__(self, folder: Path, kept: int) -> None:
        self.folder = folder
        self._kept = kept

    def fault(self) -> str | None:
        """Say why no snapshot can be written here; None: one can, or none is to be kept.

        It is tried, for what rights say of a disk is not all that can be wrong with it.
        """
        if not self._kept:
            return None
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with TemporaryFile(dir=self.folder):
                return None
        except OSError as error:
            return str(error)

    def numbers(self, version: str) -> list[int]:
        """Return the numbers of a version's snapshots, oldest first."""
        with contextlib.suppress(OSError):  # what cannot be listed cannot be restored either
            names = [path.name for path in (self.folder / version).iterdir()]
            return sorted(int(name) for name in names if NUMBER.fullmatch(name))
        return []

    def path(self, version: str, number: int) -> Path:
        """Return where a snapshot is."""
        return self.folder / version / f"{number:08d}"

    def newest_facts(self, version: str) -> SnapshotFacts | None:
        """Return what the newest snapshot of a version says it is; its other files may be bad."""
        return next((facts for _, facts in self._told(version)), None)

    def _told(self, version: str) -> Iterator[tuple[int, SnapshotFacts]]:
        """Give the snapshots of a version that say what they are, newest first."""
        for number in reversed(self.numbers(version)):
            with contextlib.suppress(SnapshotError):
                yield number, read_facts(self.path(version, number))

    def age_s(self) -> float:
        """Return how long ago the newest snapshot of any version was written; inf: there is none.

        By the machine's clock, so it serves for what is convenient, not for what is right.
        """
        newest_s = -math.inf
        with contextlib.suppress(OSError):
            for folder in self.folder.iterdir():
                for number in self.numbers(folder.name)[-1:]:
                    newest_s = max(newest_s, self.path(folder.name, number).stat().st_mtime)
        return time.time() - newest_s

    def newest(self, bundle: Bundle, epoch: bytes | None) -> Snapshot | None:
        """Read the newest snapshot that is whole and of this bundle; each other is told of.

        epoch: that of the log there is; one of another log is not used. None: whatever log.
        """
        for number in reversed(self.numbers(bundle.version)) if self._kept else []:
            path = self.path(bundle.version, number)
            try:
                snapshot = read_snapshot(path, bundle)
                if epoch is not None and snapshot.facts.position.epoch != epoch:
                    raise SnapshotError(f"{path}: of another item log than the one in Redis")
            except SnapshotError as error:
                SNAPSHOTS.labels("refused").inc()
                logger.warning("snapshot refused", extra={"reason": str(error)})
                continue
            return snapshot
        return None

    @contextmanager
    def lock(self, *, waits: bool = False) -> Iterator[bool]:
        """Give whether this process may write; only one may, and its death lets go.

        Raises:
            OSError: There can be no such folder.

        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            yield _has_locked(descriptor, waits)
        finally:
            os.close(descriptor)

    def begin(self, version: str, dim: int) -> "New":
        """Begin the next snapshot of a version; for who holds the lock.

        What somebody who was killed has left is removed.

        Raises:
            OSError: The disk refuses.

        """
        folder = self.folder / version
        if not folder.exists():
            folder.mkdir()
            disk.sync_folder(self.folder)
        for left in folder.glob(f"*{UNFINISHED}"):
            disk.remove(left)
        number = max(self.numbers(version), default=0) + 1
        return New(self.path(version, number), dim)

    def prune(self, version: str, horizon: LogId, loaded: Collection[str] = ()) -> None:
        """Remove all but the newest snapshots of a version, and of others all before a place.

        For who holds the lock. A version that has none left, and will never write again, leaves
        neither a folder nor what a writer who was killed has left in it.

        Args:
            version: That of the snapshot that was just written.
            horizon: The place in the log.
            loaded: Versions that are served. The newest of each stays, wherever it is: after a
                quiet time the first to write would else take from the others all they have.

        Raises:
            OSError: The disk refuses.

        """
        for number in self.numbers(version)[: -self._kept]:
            self._remove(self.path(version, number))
        for other in sorted(self.folder.iterdir()):
            if not other.is_dir() or other.name == version:
                continue
            is_changed = False  # else it may be anybody's
            told = list(self._told(other.name))
            kept = {number for number, facts in told if facts.position.cursor >= horizon}
            if other.name in loaded:
                kept.update(number for number, _ in told[:1])
            for number in sorted(set(self.numbers(other.name)) - kept):
                self._remove(self.path(other.name, number))
                is_changed = True
            for left in other.glob(f"*{UNFINISHED}"):
                disk.remove(left)
                is_changed = True
            if is_changed and not any(other.iterdir()):
                disk.remove(other)

    @staticmethod
    def _remove(path: Path) -> None:
        """Take the name away first: what is half removed is no snapshot."""
        unnamed = path.with_name(path.name + UNFINISHED)
        disk.rename(path, unnamed)
        disk.remove(unnamed)

    def oldest_cursor(self, epoch: bytes | None) -> LogId | None:
        """Return from where on a kept snapshot of a log needs it, whatever version it is of."""
        cursors = []
        for folder in sorted(self.folder.iterdir()):
            for number in self.numbers(folder.name) if folder.is_dir() else []:
                with contextlib.suppress(SnapshotError):
                    position = read_facts(self.path(folder.name, number)).position
                    cursors += [position.cursor] if position.epoch == epoch else []
        return min(cursors, default=None)

    def replica(self) -> str:
        """Return the name under which Redis knows whose snapshots these are; made at first.

        Raises:
            OSError: The disk refuses.

        """
        path = self.folder / "replica"
        with contextlib.suppress(FileNotFoundError):
            if name := path.read_text().strip():
                return name
        path.write_text(f"{secrets.token_hex(8)}\n")
        return path.read_text().strip()


def _has_locked(descriptor: int, waits: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


class New:
    """A snapshot that is being written, beside its place; `keep` or `drop` ends it."""

    def __init__(self, target: Path, dim: int) -> None:
        self._target = target
        self._folder = target.with_name(target.name + UNFINISHED)
        self._folder.mkdir()
        self.writer = Writer(self._folder, dim)

    def keep(self) -> Path:
        """Give it its name; it is whole and on the disk by then.

        Raises:
            OSError: The disk refuses.

        """
        disk.sync_folder(self._folder)
        disk.rename(self._folder, self._target)
        disk.sync_folder(self._target.parent)
        return self._target

    def drop(self) -> None:
        """Remove what was written; what cannot be removed is left to the next one."""
        self.writer.drop()
        with contextlib.suppress(OSError):
            disk.remove(self._folder)
