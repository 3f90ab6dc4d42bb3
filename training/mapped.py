"""Arrays that are written part by part to files without a name, and read as maps of them.

Their pages are the system's to drop and read again, so an array may be larger than memory. A file
without a name is gone with the process, however that ends: nothing is left behind or used again.
"""

import contextlib
import mmap
import os
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from export.contract.errors import ConfigError
from training.ragged import Ragged

T = TypeVar("T", bound=np.generic)
HOME = Path("/var/tmp")  # /tmp may be held in memory


class Growing:
    """One array, of rows that are appended."""

    def __init__(self) -> None:
        with _told():
            self._file: IO[bytes] = tempfile.TemporaryFile(dir=_folder())  # noqa: SIM115, below
        weakref.finalize(self, self._file.close)
        self._none: NDArray[Any] | None = None  # tells type and shape of a row
        self._rows = 0

    def append(self, rows: NDArray[Any]) -> None:
        """Write some rows behind those that are there; all are of one type and shape."""
        if self._none is None:
            self._none = rows[:0].copy()
        assert rows.dtype == self._none.dtype
        self._rows += len(rows)
        with _told():
            self._file.write(np.ascontiguousarray(rows).data.cast("B") if rows.size else b"")

    def read(self) -> NDArray[Any]:
        """Return all rows; nobody may write to them, or append more."""
        assert self._none is not None
        with self._file, _told():
            self._file.flush()
            if not self._file.tell():
                return np.zeros((self._rows, *self._none.shape[1:]), self._none.dtype)
            pages = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        flat = np.frombuffer(pages, self._none.dtype)
        return flat.reshape(self._rows, *self._none.shape[1:])


def mapped(rows: NDArray[T]) -> NDArray[T]:
    """Return an array as a map of a file that holds it; nobody may write to it."""
    growing = Growing()
    growing.append(rows)
    return growing.read()


class GrowingRagged:
    """Rows of different lengths that are appended; all parts have weights, or none has."""

    def __init__(self) -> None:
        self._indptr, self._values, self._missing = Growing(), Growing(), Growing()
        self._weights: Growing | None = None
        self._before = 0  # values so far
        self._indptr.append(np.zeros(1, dtype=np.int64))

    def append(self, rows: Ragged) -> None:
        """Write some rows behind those that are there."""
        self._indptr.append(rows.indptr[1:] + self._before)
        self._values.append(rows.values)
        self._missing.append(rows.missing)
        if rows.weights is not None:
            self._weights = self._weights or Growing()
            self._weights.append(rows.weights)
        self._before += len(rows.values)

    def read(self) -> Ragged:
        """Return all rows; nobody may write to them, or append more."""
        weights = None if self._weights is None else self._weights.read()
        return Ragged(self._indptr.read(), self._values.read(), weights, self._missing.read())


class GrowingColumns:
    """Columns by name, all of as many rows."""

    def __init__(self) -> None:
        self._plain: dict[str, Growing] = {}
        self._ragged: dict[str, GrowingRagged] = {}

    def append(self, columns: Mapping[str, NDArray[Any] | Ragged]) -> None:
        """Write some rows of each column behind those that are there."""
        for name, column in columns.items():
            if isinstance(column, Ragged):
                self._ragged.setdefault(name, GrowingRagged()).append(column)
            else:
                self._plain.setdefault(name, Growing()).append(column)

    def read(self) -> dict[str, NDArray[Any] | Ragged]:
        """Return all rows; nobody may write to them, or append more."""
        plain = {name: one.read() for name, one in self._plain.items()}
        return plain | {name: one.read() for name, one in self._ragged.items()}


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        said = f"TMPDIR: got {_folder()} ({error.strerror})"
        raise ConfigError(f"{said}, expected a folder with room for columns of all rows") from error


def _folder() -> str:
    """Return where the files lie: what TMPDIR says, else /var/tmp, which is on a disk."""
    return os.environ.get("TMPDIR") or str(HOME if HOME.is_dir() else tempfile.gettempdir())
