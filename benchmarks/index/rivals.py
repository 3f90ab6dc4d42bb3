"""The rivals: each library's index over the same vectors, with one number that sets its recall."""

import math
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import hnswlib
import numpy as np
import usearch.index
import voyager
from numpy.typing import NDArray

from export.index.base import TunableSettings, VectorIndex, Vectors
from export.index.compact import CompactConfig
from export.index.exact import ExactConfig
from export.index.hnsw import HnswConfig

Labels = NDArray[np.int64]

LINKS, EF_CONSTRUCTION = 16, 100
"""Of every graph: those that the tuner of the project begins with."""


class Rival(ABC):
    """An index of float32[n, dim] unit vectors, built and searched with one thread.

    Attributes:
        settings: What can be set, from least recall to most.

    """

    settings: Sequence[int] = (0,)

    @abstractmethod
    def build(self, vectors: Vectors) -> None:
        """Build it."""

    @abstractmethod
    def set(self, setting: int) -> None:
        """Search with this setting from now on."""

    @abstractmethod
    def search(self, query: Vectors, k: int) -> Labels:
        """Return the labels [1, k] of the nearest of one query [1, dim]."""

    @abstractmethod
    def write(self, path: Path) -> None:
        """Write it to a file."""

    def size_bytes(self) -> int:
        """Return the size of its file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "index"
            self.write(path)
            return path.stat().st_size


class Ours(Rival):
    """A member of the project's family, through its checks; one of its options sets recall."""

    def __init__(self, config: TunableSettings, option: str, settings: Sequence[int]) -> None:
        self._config, self._option, self.settings = config, option, settings

    def build(self, vectors: Vectors) -> None:
        """Build it as the tuner does."""
        self._index: VectorIndex = self._config.build(vectors, threads=1)

    def set(self, setting: int) -> None:
        """Set the option."""
        config = self._config.model_copy(update={self._option: setting})
        self._index = config.searching(self._index)

    def search(self, query: Vectors, k: int) -> Labels:
        """Search as the service does."""
        return self._index.search(query, k)[0]

    def write(self, path: Path) -> None:
        """Write the file of a bundle."""
        self._index.save(path)


class Exact(Rival):
    """The project's exact search."""

    def build(self, vectors: Vectors) -> None:
        """Keep the vectors."""
        self._index = ExactConfig().build(vectors)

    def set(self, setting: int) -> None:
        """Do nothing."""

    def search(self, query: Vectors, k: int) -> Labels:
        """Compare with all."""
        return self._index.search(query, k)[0]

    def write(self, path: Path) -> None:
        """Write the vectors."""
        self._index.save(path)


class BruteForce(Rival):
    """What one writes first: a product with all, and a partition."""

    def build(self, vectors: Vectors) -> None:
        """Keep the vectors."""
        self._vectors = vectors

    def set(self, setting: int) -> None:
        """Do nothing."""

    def search(self, query: Vectors, k: int) -> Labels:
        """Compare with all."""
        scores = query[0] @ self._vectors.T
        best = np.argpartition(-scores, k)[:k]
        return best[np.argsort(-scores[best])][None]

    def write(self, path: Path) -> None:
        """Write the vectors."""
        with path.open("wb") as file:
            np.save(file, self._vectors)


class Hnswlib(Rival):
    """A bare graph of hnswlib: what the project's own has inside its checks."""

    def __init__(self, settings: Sequence[int]) -> None:
        self.settings = settings

    def build(self, vectors: Vectors) -> None:
        """Add the vectors."""
        self._index = hnswlib.Index(space="ip", dim=vectors.shape[1])
        self._index.init_index(
            len(vectors), M=LINKS, ef_construction=EF_CONSTRUCTION, random_seed=1
        )
        self._index.add_items(vectors, num_threads=1)

    def set(self, setting: int) -> None:
        """Set how many candidates a search keeps."""
        self._index.set_ef(setting)

    def search(self, query: Vectors, k: int) -> Labels:
        """Search with one thread."""
        labels, _ = self._index.knn_query(query, k=k, num_threads=1)
        return np.asarray(labels, np.int64)

    def write(self, path: Path) -> None:
        """Write its file."""
        self._index.save_index(str(path))


class Faiss(Rival):
    """An index of faiss by the name of its attribute that sets recall."""

    def __init__(self, make: Any, knob: str, settings: Sequence[int]) -> None:
        self._make, self._knob, self.settings = make, knob, settings

    def build(self, vectors: Vectors) -> None:
        """Train it where it has to be, and add the vectors."""
        faiss.omp_set_num_threads(1)
        self._index = self._make(vectors.shape[1], len(vectors))
        self._index.train(vectors)
        self._index.add(vectors)

    def set(self, setting: int) -> None:
        """Set the attribute."""
        owner = self._index.hnsw if self._knob == "efSearch" else self._index
        setattr(owner, self._knob, setting)

    def search(self, query: Vectors, k: int) -> Labels:
        """Search with one thread."""
        labels: Labels = self._index.search(query, k)[1]
        return labels

    def write(self, path: Path) -> None:
        """Write its file."""
        faiss.write_index(self._index, str(path))


class Usearch(Rival):
    """A graph of usearch."""

    def __init__(self, dtype: str, settings: Sequence[int]) -> None:
        self._dtype, self.settings = dtype, settings

    def build(self, vectors: Vectors) -> None:
        """Add the vectors."""
        self._index = usearch.index.Index(
            ndim=vectors.shape[1],
            metric="ip",
            dtype=self._dtype,
            connectivity=LINKS,
            expansion_add=EF_CONSTRUCTION,
        )
        self._index.add(np.arange(len(vectors)), vectors, threads=1)

    def set(self, setting: int) -> None:
        """Set how many candidates a search keeps."""
        self._index.expansion_search = setting

    def search(self, query: Vectors, k: int) -> Labels:
        """Search with one thread; fewer than k are filled up with the first."""
        found = self._index.search(query, k, threads=1)
        labels: Labels = np.asarray(found.keys, np.int64).reshape(1, -1)
        return labels

    def write(self, path: Path) -> None:
        """Write its file."""
        self._index.save(str(path))


class Voyager(Rival):
    """A graph of voyager, Spotify's fork of hnswlib."""

    def __init__(self, settings: Sequence[int]) -> None:
        self.settings = settings

    def build(self, vectors: Vectors) -> None:
        """Add the vectors."""
        self._index = voyager.Index(
            voyager.Space.InnerProduct,
            num_dimensions=vectors.shape[1],
            M=LINKS,
            ef_construction=EF_CONSTRUCTION,
            max_elements=len(vectors),
        )
        self._index.add_items(vectors, num_threads=1)

    def set(self, setting: int) -> None:
        """Set how many candidates a search keeps."""
        self._setting = setting

    def search(self, query: Vectors, k: int) -> Labels:
        """Search with one thread."""
        labels, _ = self._index.query(query, k, num_threads=1, query_ef=max(self._setting, k))
        return np.asarray(labels, np.int64)

    def write(self, path: Path) -> None:
        """Write its file."""
        self._index.save(str(path))


def _hnsw(dim: int, _: int) -> Any:
    index = faiss.IndexHNSWFlat(dim, LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = EF_CONSTRUCTION
    return index


def _hnsw_sq8(dim: int, _: int) -> Any:
    kind = faiss.ScalarQuantizer.QT_8bit
    index = faiss.IndexHNSWSQ(dim, kind, LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = EF_CONSTRUCTION
    return index


def _ivf_sq8(dim: int, count: int) -> Any:
    return faiss.index_factory(dim, f"IVF{lists(count)},SQ8", faiss.METRIC_INNER_PRODUCT)


def lists(count: int) -> int:
    """Return twice the root, as many lists as the project's compact index has."""
    return round(2.0 * math.sqrt(count))


def rivals(count: int, k: int) -> dict[str, Rival]:
    """Return every rival over so many vectors by its name; ours build what the tuner begins with.

    What keeps candidates begins at k of them, below which it has no effect.
    """
    kept, read = steps(k, 40 * k), steps(1, 1000)
    graph = next(HnswConfig.ladders(count, k, seed=1))[0]
    codes = next(CompactConfig.ladders(count, k, seed=1))[0]
    return {
        "hnsw": Ours(graph, "ef", kept),
        "compact": Ours(codes, "probes", read),
        "exact": Exact(),
        "numpy": BruteForce(),
        "hnswlib": Hnswlib(kept),
        "faiss hnsw": Faiss(_hnsw, "efSearch", kept),
        "faiss hnsw-sq8": Faiss(_hnsw_sq8, "efSearch", kept),
        "faiss ivf-sq8": Faiss(_ivf_sq8, "nprobe", read),
        "usearch": Usearch("f32", kept),
        "usearch i8": Usearch("i8", kept),
        "voyager": Voyager(kept),
    }


def steps(first: int, last: int) -> list[int]:
    """Return whole numbers from the first to the last, each a fiftieth above the one before."""
    found = [first]
    while (above := max(found[-1] + 1, round(1.02 * found[-1]))) <= last:
        found.append(above)
    return found
