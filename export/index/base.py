"""What every vector index promises: built once, never changed, and nothing unchecked comes in."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from export.contract.errors import BundleError, ContractError
from export.contract.strict import Strict
from export.index.file import check_file, replacing, sha256_of

Vectors = npt.NDArray[np.float32]  # [n, dim], unit length
Labels = npt.NDArray[np.int64]  # row numbers of the vectors an index was built from
Scores = npt.NDArray[np.float32]  # inner products, higher is better

SHORTEST, LONGEST = 0.99, 1.01


class VectorError(ContractError):
    """Vectors, or a k, that no index can work with; the message names the first bad row."""


class VectorIndex(ABC):
    """Vectors that can be searched, by any number of threads at once; never changed once built.

    Labels are the row numbers 0..n-1 of the vectors the index was built from.
    """

    def __init__(self, dim: int, count: int) -> None:
        self.dim = dim
        self._count = count

    def __len__(self) -> int:
        return self._count

    def search(self, queries: Vectors, k: int) -> tuple[Labels, Scores]:
        """Find the k nearest vectors of each query: labels and scores, both [b, min(k, len)].

        Best first; equal scores go by label. Queries are float32[b, dim] of unit length and a
        score is the inner product, hence the cosine. An index with no vectors answers [b, 0].
        Raises VectorError for queries of a wrong type, shape or length, and for k below 1.
        """
        check_vectors(queries, self.dim, "query")
        if k < 1:
            raise VectorError(f"k: got {k}, expected at least 1")
        return self.nearest(queries, k)

    def nearest(self, queries: Vectors, k: int) -> tuple[Labels, Scores]:
        """Do as `search` does, for queries that were checked already and a k of at least 1."""
        k = min(k, len(self))
        if k == 0 or len(queries) == 0:
            shape = (len(queries), k)
            return np.empty(shape, np.int64), np.empty(shape, np.float32)
        labels, scores = self._nearest(queries, k)
        if (scores[:, 1:] < scores[:, :-1]).all():  # as they mostly come; sorting costs 10 us
            return labels, scores
        order = np.lexsort((labels, -scores))
        return np.take_along_axis(labels, order, 1), np.take_along_axis(scores, order, 1)

    def save(self, path: Path) -> str:
        """Write the index to a file and return the SHA-256 that `load` asks for.

        After a crash the file is the old one or the new one, never a mix. Raises OSError when it
        could not be written in full; the old file, if any, is then as it was.
        """
        with replacing(path) as part:
            self._write(part)
            return sha256_of(part)

    @abstractmethod
    def _nearest(self, queries: Vectors, k: int) -> tuple[Labels, Scores]:
        """Labels and scores [b, k] in any order; queries are checked and 1 <= k <= len."""

    @abstractmethod
    def _write(self, part: Path) -> None:
        """Write everything `_read` needs; raises OSError when the disk did not take all of it."""


class IndexSettings(Strict, ABC):
    """The options of one kind of index; a member adds its `kind` and how it is made."""

    def build(self, vectors: Vectors, *, threads: int | None = None) -> VectorIndex:
        """Build an index over float32[n, dim] unit vectors; n may be 0.

        `threads` are as many as there are cores unless given. With one thread the same vectors and
        settings give the same index again, bit for bit, on the same machine. Raises VectorError
        for a wrong type or shape, a value that is not finite, and a length that is not 1.
        """
        check_vectors(vectors, None, "vector")
        return self._build(vectors, threads or core_count())

    def load(self, path: Path, *, sha256: str, vectors: Vectors) -> VectorIndex:
        """Open what `save` wrote of an index over these vectors, built with these settings.

        The SHA-256 is compared before anything else reads the file: an index library trusts it
        blindly, and one flipped bit can crash the process or change answers silently. Raises
        BundleError for a file that is missing, is not the one meant, or holds another shape, and
        VectorError as `build` does.
        """
        check_vectors(vectors, None, "vector")
        check_file(path, sha256)
        return self._read(path, vectors)

    @abstractmethod
    def _build(self, vectors: Vectors, threads: int) -> VectorIndex:
        """Build over checked vectors, of which no later change may reach the index."""

    @abstractmethod
    def _read(self, path: Path, vectors: Vectors) -> VectorIndex:
        """Open a file whose SHA-256 is right; raises BundleError unless it is of such vectors."""


class TunableSettings(IndexSettings):
    """Settings of an index whose recall is a matter of how it is built, and how it is searched.

    `climbed` names the one that goes up from rung to rung of a ladder; the others say which ladder.
    """

    climbed: ClassVar[str]

    @classmethod
    def check_installed(cls) -> None:  # noqa: B027 most members need nothing more
        """Raise BundleError, with the remedy, unless what the index is made with is there."""

    @classmethod
    @abstractmethod
    def ladders(cls, count: int, k: int, seed: int) -> Iterator[list[Self]]:
        """Give what to try for recall@k over `count` vectors, one ladder after the other.

        The settings of a ladder differ only in how an index is searched, from cheap to dear; where
        its end misses, an index is built for the next.
        """

    @abstractmethod
    def searching(self, index: VectorIndex) -> VectorIndex:
        """Return an index that takes over what was built on the same ladder, searched like this.

        That one must not be searched any more, so nobody else may hold it yet.
        """


def kept(vectors: Vectors) -> Vectors:
    """Return vectors that nobody changes any more: themselves if read-only, else a copy."""
    array: object = vectors
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return np.array(vectors, order="C")
        array = array.base
    return vectors


def check_vectors(vectors: Vectors, dim: int | None, what: str) -> None:
    """Raise VectorError unless these are float32[n, dim], finite and of unit length (to 1 %).

    `dim` of None takes any width; `what` is the word for one row in the message.
    """
    if not isinstance(vectors, np.ndarray) or vectors.dtype != np.float32:
        got = getattr(vectors, "dtype", type(vectors).__name__)
        raise VectorError(f"{what}: got {got}, expected a numpy array of float32")
    if vectors.ndim != 2 or vectors.shape[1] != (dim or max(vectors.shape[1], 1)):
        shape = list(vectors.shape)
        raise VectorError(f"{what}: got shape {shape}, expected [any number, {dim or 'dim'}]")
    squared = np.einsum("nd,nd->n", vectors, vectors)
    good = (squared >= SHORTEST**2) & (squared <= LONGEST**2)  # NaN compares as False
    if not good.all():
        row = int(np.argmin(good))
        finite = bool(np.isfinite(vectors[row]).all())
        got = f"length {np.linalg.norm(vectors[row].astype(np.float64)):.4g}" if finite else "NaN"
        if not finite and not np.isnan(vectors[row]).any():
            got = "infinity"
        raise VectorError(
            f"{what} {row}: got {got}, expected finite values of length {SHORTEST}..{LONGEST}"
        )


def check_labels(path: Path, labels: npt.NDArray[np.integer], count: int) -> None:
    """Raise BundleError unless the labels in a file are 0..count-1, each once, in any order."""
    if labels.shape == (count,) and (not count or 0 <= labels.min() <= labels.max() < count):
        found = np.zeros(count, dtype=bool)
        found[labels] = True
        if found.all():
            return
    raise BundleError(f"index file {path}: expected each of {count} labels once; export it again")


def core_count() -> int:
    """Cores this process may run on, which in a container are fewer than the machine's."""
    return len(os.sched_getaffinity(0))
