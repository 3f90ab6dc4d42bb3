"""What a snapshot asks of the disk, each step by itself, so that a test can let each one fail."""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any


def write(descriptor: int, data: Any) -> None:
    """Write all of some bytes."""
    left = memoryview(data).cast("B")
    while left:
        left = left[os.write(descriptor, left) :]


def sync(descriptor: int) -> None:
    """Have the disk hold what was written."""
    os.fsync(descriptor)


def rename(source: Path, target: Path) -> None:
    """Give a folder its name; nothing may have that name yet."""
    source.rename(target)


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it."""
    shutil.rmtree(folder)


def sync_folder(folder: Path) -> None:
    """Have the disk hold the names in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


class NewFile:
    """A file that is written from its start to its end, and hashed meanwhile.

    As much of a Python file as Arrow asks for.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.closed = False
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        self._hash = hashlib.sha256()
        self._size = 0

    @property
    def digest(self) -> str:
        """The SHA-256 of what was written, in hex."""
        return self._hash.hexdigest()

    def write(self, data: Any) -> int:
        """Write bytes behind those before."""
        write(self._descriptor, data)
        self._hash.update(data)
        size = memoryview(data).nbytes
        self._size += size
        return size

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._size

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Have the disk hold the file, and let go of it; a second time changes nothing."""
        if self.closed:
            return
        self.closed = True
        try:
            sync(self._descriptor)
        finally:
            os.close(self._descriptor)

    def drop(self) -> None:
        """Let go of a file that is not wanted any more."""
        if not self.closed:
            self.closed = True
            os.close(self._descriptor)
