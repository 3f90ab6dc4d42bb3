"""An index file: replaced as a whole or not at all, and known by its SHA-256."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from export.contract.errors import BundleError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to; it takes the place of `path` only when the block succeeds.

    Contents are on the disk before the name points to them, and the name before this returns.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.touch()  # a folder that takes no file says so as an OSError, whoever writes to it next
    try:
        yield part
        _flush(part)
        part.replace(path)
        _flush(path.parent)
    finally:
        part.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 lower-case hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_file(path: Path, sha256: str) -> None:
    """Raise BundleError unless the file is there and has this SHA-256."""
    try:
        got = sha256_of(path)
    except OSError as error:
        raise BundleError(f"index file {path}: {error.strerror or error}") from error
    if got != sha256:
        raise BundleError(
            f"index file {path}: SHA-256 is {got}, expected {sha256}; build the index again"
        )


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
