"""The index of 8-bit codes in lists (IVF): a fifth of a graph's memory, exact by the vectors."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
from pydantic import Field

from export.contract.errors import BundleError
from export.index.base import (
    Labels,
    Scores,
    TunableSettings,
    VectorIndex,
    Vectors,
    check_labels,
    kept,
)

LISTS_PER_ROOT = 2  # lists that the tuner asks for, as a multiple of the root of the vectors
STEPS_PER_OCTAVE = 3  # rungs of a ladder from `probes` to twice as many
OVERFETCHES = ((1.2, 4), (2.0, 4), (4.0, 1))  # overfetch of each ladder, and its end: lists over it
LEAST_IN_LIST = 39  # vectors for each list, below which k-means has little to go by (faiss)
ROUNDS = 10  # of k-means; 25, which is usual, find nothing more and cost twice as much
SAMPLE = 128  # vectors for each list that k-means looks at
PROBED_FOR = 100  # items that `probes` is told for


class CompactConfig(TunableSettings):
    """Vectors in lists around k-means centres, each as the 8-bit difference from its centre.

    Jegou, Douze and Schmid, "Product Quantization for Nearest Neighbor Search", PAMI 2011, with a
    scalar quantiser. What the codes find is scored again by the vectors themselves.
    """

    climbed: ClassVar[str] = "probes"

    kind: Literal["compact"] = "compact"
    # Lists; fewer where there are not 39 vectors for each.
    lists: int = Field(default=100, ge=1, le=65536)
    # Lists read for up to 100 items, in proportion for more.
    probes: int = Field(default=20, ge=1, le=65536)
    # Items that codes find for each item asked for.
    overfetch: float = Field(default=1.2, ge=1, le=16)
    seed: int = Field(default=1, ge=0, le=2**31 - 1)

    @classmethod
    def check_installed(cls) -> None:
        """Raise BundleError unless faiss is there."""
        library()

    @classmethod
    def ladders(cls, count: int, k: int, seed: int) -> Iterator[list[Self]]:
        """Read more lists up to a quarter; where that misses, score more again, or read all."""
        lists = max(1, round(LISTS_PER_ROOT * count**0.5))
        for overfetch, part in OVERFETCHES:
            octaves = range(-7 * STEPS_PER_OCTAVE, 1)
            shares = (lists / part * 2 ** (step / STEPS_PER_OCTAVE) for step in octaves)
            least = k * overfetch * lists / max(count, 1)  # that hold enough, on average
            probes = sorted({ceil(max(share, least) * min(1, PROBED_FOR / k)) for share in shares})
            yield [cls(lists=lists, probes=p, overfetch=overfetch, seed=seed) for p in probes]

    def searching(self, index: VectorIndex) -> "CompactIndex":
        """Return an index of the same codes, of which these settings say how many are read."""
        return cast(CompactIndex, index).with_settings(self)

    def _lists(self, count: int) -> int:
        return max(1, min(self.lists, count // LEAST_IN_LIST))

    def _build(self, vectors: Vectors, threads: int) -> "CompactIndex":
        vectors = kept(vectors)
        # The threads of OpenMP belong to the one that asked for them, and end with it. Left behind,
        # a process forked later would wait for them for ever.
        with ThreadPoolExecutor(1) as alone:
            codes = alone.submit(self._coded, vectors, threads).result()
        return CompactIndex(codes, vectors, self)

    def _coded(self, vectors: Vectors, threads: int) -> Any:
        faiss = library()
        faiss.omp_set_num_threads(threads)
        (count, dim), kind = vectors.shape, faiss.ScalarQuantizer.QT_8bit
        space = faiss.METRIC_INNER_PRODUCT
        centres = faiss.IndexFlatIP(dim)
        codes = faiss.IndexIVFScalarQuantizer(centres, dim, self._lists(count), kind, space, True)
        codes.cp.niter, codes.cp.seed = ROUNDS, self.seed
        codes.cp.max_points_per_centroid = SAMPLE
        codes.cp.min_points_per_centroid = 1  # below it faiss writes to standard error
        if count:
            codes.train(vectors)
            codes.add(vectors)
        return codes

    def _read(self, path: Path, vectors: Vectors) -> "CompactIndex":
        faiss = library()
        try:
            # Mapped, so that it is read as it is needed and all processes share what was read.
            codes = faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
        except RuntimeError as error:
            raise BundleError(f"index file {path}: {error}") from error
        if not isinstance(codes, faiss.IndexIVFScalarQuantizer):
            raise BundleError(f"index file {path}: holds a {type(codes).__name__}, expected codes")
        count, dim = vectors.shape
        got = {"count": codes.invlists.compute_ntotal(), "dim": codes.d, "lists": codes.nlist}
        expected = {"count": count, "dim": dim, "lists": self._lists(count)}
        if got != expected:
            raise BundleError(f"index file {path}: holds {got}, expected {expected}")
        lists = [
            faiss.rev_swig_ptr(codes.invlists.get_ids(one), codes.invlists.list_size(one))
            for one in range(codes.nlist)
        ]
        check_labels(path, np.concatenate(lists), count)
        # Else each search starts 32 threads to read ahead, which takes ten times what it does.
        faiss.downcast_InvertedLists(codes.invlists).prefetch_nthread = 0
        return CompactIndex(codes, kept(vectors), self)


class CompactIndex(VectorIndex):
    """Codes of faiss, and the vectors that they are of."""

    def __init__(self, codes: Any, vectors: Vectors, settings: CompactConfig) -> None:
        super().__init__(dim=vectors.shape[1], count=len(vectors))
        self._codes = codes
        self._vectors = vectors
        self._settings = settings

    def with_settings(self, settings: CompactConfig) -> "CompactIndex":
        """Return an index of the same codes, searched as other settings say."""
        return CompactIndex(self._codes, self._vectors, settings)

    def _nearest(self, queries: Vectors, k: int) -> tuple[Labels, Scores]:
        fetch = min(len(self), ceil(k * self._settings.overfetch))
        probes = ceil(self._settings.probes * max(1, k / PROBED_FOR))
        candidates = self._candidates(queries, fetch, probes)
        # The lists that were read may hold fewer; all of them hold all.
        while (short := candidates[:, k - 1] < 0).any() and probes < self._codes.nlist:
            probes *= 2
            candidates[short] = self._candidates(queries[short], fetch, probes)
        shape = (len(queries), k)
        labels, scores = np.empty(shape, np.int64), np.empty(shape, np.float32)
        for row, found in enumerate(candidates):
            if found[-1] < 0:
                found = found[found >= 0]
            found.sort()  # what lies together is read together, and equal scores go by label
            of_found = self._vectors.take(found, axis=0) @ queries[row]
            best = np.argsort(-of_found, kind="stable")[:k]
            labels[row], scores[row] = found[best], of_found[best]
        return labels, scores

    def _candidates(self, queries: Vectors, fetch: int, probes: int) -> Labels:
        """Return labels [b, fetch] by their codes, -1 where the lists that are read hold fewer."""
        faiss = library()
        # Said to each thread anew, for OpenMP keeps it for each: threads would outnumber cores.
        faiss.omp_set_num_threads(1)
        how = faiss.SearchParametersIVF(nprobe=min(probes, self._codes.nlist))
        labels: Labels = self._codes.search(queries, fetch, params=how)[1]
        return labels

    def _write(self, part: Path) -> None:
        faiss = library()
        with part.open("wb") as file:  # faiss's own writer overlooks what a full disk refuses last
            try:
                faiss.write_index(self._codes, faiss.PyCallbackIOWriter(file.write))
            except RuntimeError as error:
                raise OSError(f"{part}: {error}") from error


@cache
def library() -> Any:
    """Return faiss, which only those need who have such an index.

    Raises:
        BundleError: It is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise BundleError(
            "index of kind 'compact': needs faiss, which is not here; "
            "install it with: pip install 'firstsight[compact]'"
        ) from error
    return faiss
