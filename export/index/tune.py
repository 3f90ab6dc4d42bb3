"""Settings for a catalogue's index, found by measuring recall against exact search."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from export.contract.strict import Strict
from export.index import IndexConfig
from export.index.base import (
    Scores,
    TunableSettings,
    VectorError,
    VectorIndex,
    Vectors,
    check_vectors,
)
from export.index.clustered import queries_near
from export.index.compact import CompactConfig
from export.index.exact import ExactConfig
from export.index.hnsw import GRAPHS, LADDER, HnswConfig, HnswIndex

logger = logging.getLogger(__name__)

EXACT_UP_TO = 2_000  # vectors that exact search goes through no slower than a graph's walk
CHOSEN_ON = 100_000  # vectors at most by which it is chosen what is built of all
SAME_SCORE = 1e-6  # two ways to add up one inner product differ by less

TunedKind = Literal["hnsw", "compact"]
TunedConfig = Annotated[HnswConfig | CompactConfig, Field(discriminator="kind")]
TUNED: dict[TunedKind, type[HnswConfig] | type[CompactConfig]] = {
    "hnsw": HnswConfig,
    "compact": CompactConfig,
}


Ladders = Sequence[Sequence[TunableSettings]]


class Rung(Strict):
    """One setting tried; `near` and `given` are its recall on either kind of queries.

    `cpu_us` is what one search of them took, of all cores together and on average.
    """

    config: TunedConfig
    near: float
    given: float | None = None
    cpu_us: float

    @property
    def recall(self) -> float:
        """The lower of the two."""
        return self.near if self.given is None else min(self.near, self.given)


@dataclass(frozen=True)
class TunedIndex:
    """An index, the settings it was built with, and what was measured on the way to them.

    `measured_recall` is that of `index` at k, and `reached` says whether it meets the target.
    `curve` holds what was tried, in that order; it is empty when exact search was chosen outright.
    """

    config: IndexConfig
    index: VectorIndex
    measured_recall: float
    curve: tuple[Rung, ...]
    reached: bool


@dataclass(frozen=True)
class _Exam:
    """Queries [b, dim] and the scores [b, k] of their true nearest vectors."""

    queries: Vectors
    truth: Scores

    def sit(self, index: VectorIndex) -> float:
        _, found = index.search(self.queries, self.truth.shape[1])
        return recall_at_k(found, self.truth)


def tune(
    vectors: Vectors,
    *,
    k: int = 100,
    target: float = 0.99,
    sample: int = 500,
    seed: int = 1,
    queries: Vectors | None = None,
    threads: int | None = None,
    kind: TunedKind = "hnsw",
) -> TunedIndex:
    """Find the cheapest settings of a kind whose recall@k meets the target, and build the index.

    Recall is measured on `sample` queries made near the vectors and, when real ones are given
    (float32[q, dim], such as users' vectors), on at most `sample` of those too; both have to meet
    the target. Each kind gives ladders of settings; where the end of one misses, or the graph has
    islands, an index is built for the next. A ladder that misses on 100,000 of the vectors, drawn
    at random, is not built of all: more of them are harder to find. Up to 2,000 vectors are
    searched exactly, recall 1.
    Raises VectorError for vectors or queries that are not float32 unit vectors of one dim.
    """
    check_vectors(vectors, None, "vector")
    if len(vectors) <= EXACT_UP_TO:
        return TunedIndex(ExactConfig(), ExactConfig().build(vectors), 1.0, (), reached=True)
    ladders: Ladders = [*TUNED[kind].ladders(len(vectors), k, seed)]
    if len(vectors) > CHOSEN_ON:
        drawn = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:CHOSEN_ON])
        part = vectors[drawn]
        of_part: Ladders = [*TUNED[kind].ladders(len(part), k, seed)]
        exams = _exams(part, k, sample, seed, queries)
        ladders = ladders[sum(1 for _ in _climbed(part, of_part, target, exams, threads)) - 1 :]
    exams = _exams(vectors, k, sample, seed, queries)
    curve: list[Rung] = []
    for index, rungs in _climbed(vectors, ladders, target, exams, threads):
        built = index
        curve.extend(rungs)
    last = curve[-1]
    reached = last.recall >= target
    return TunedIndex(last.config, built, last.recall, tuple(curve), reached)


def ef_for(
    index: HnswIndex, vectors: Vectors, *, k: int, target: float, sample: int = 200, seed: int = 1
) -> tuple[int, float]:
    """Return the `ef` with which a graph that has grown meets the target again, and its recall.

    The index's own or one further up the ladder from k to 16 k, the last one if all of them miss.
    The graph is given over `vectors` [n, dim] and must not be searched meanwhile; the `ef` is
    to be set afterwards with `with_ef`.
    """
    exam = _exams(vectors, k, sample, seed, None)[0]
    higher = [ef for factor in LADDER if (ef := round(k * factor)) > index.ef]
    recall = 0.0
    for ef in (index.ef, *higher):
        index = index.with_ef(ef)
        if (recall := exam.sit(index)) >= target:
            break
    return index.ef, recall


def denser(config: HnswConfig) -> HnswConfig | None:
    """Return the settings of the next denser graph, for one that misses; None: there is none."""
    more = ({"M": M, "ef_construction": wide} for M, wide in GRAPHS if M > config.M)
    update = next(more, None)
    return None if update is None else config.model_copy(update=update)


def recall_at_k(found: Scores, truth: Scores) -> float:
    """Share of the k found that are among the k truly nearest; both are scores [b, k].

    Counted by score, not by label: of items that tie at the cut, any is as right as another.
    """
    return float(np.mean(found >= truth[:, -1:] - SAME_SCORE))


def _exams(
    vectors: Vectors, k: int, sample: int, seed: int, queries: Vectors | None
) -> list[_Exam]:
    """Work out the truth for queries near the vectors and, if there are any, for real ones."""
    asked = [queries_near(vectors, sample, seed)]
    if queries is not None:
        check_vectors(queries, vectors.shape[1], "query")
        if not len(queries):
            raise VectorError("query: got none, expected at least one, or leave queries out")
        drawn = np.random.default_rng(seed).permutation(len(queries))[:sample]
        asked.append(queries[drawn])
    truth = ExactConfig().build(vectors)
    return [_Exam(batch, truth.search(batch, k)[1]) for batch in asked]


def _climbed(
    vectors: Vectors, ladders: Ladders, target: float, exams: list[_Exam], threads: int | None
) -> Iterator[tuple[VectorIndex, list[Rung]]]:
    """Build and measure an index for each ladder, up to the first that meets the target."""
    for ladder in ladders:
        index = ladder[0].build(vectors, threads=threads)
        index, rungs = _climb(index, ladder, target, exams)
        yield index, rungs
        if rungs[-1].recall >= target and not (
            isinstance(index, HnswIndex) and index.exact_answers
        ):
            return


def _climb(
    index: VectorIndex, ladder: Sequence[TunableSettings], target: float, exams: list[_Exam]
) -> tuple[VectorIndex, list[Rung]]:
    """Search an index as one rung after the other says, until one meets the target."""
    rungs: list[Rung] = []
    searches = sum(len(exam.queries) for exam in exams)
    exams[0].sit(index)  # the first searches after a build are slower than those that follow
    for tried in ladder:
        index = tried.searching(index)
        begun_s = time.process_time()
        recalls = [exam.sit(index) for exam in exams]
        measured: dict[str, object] = dict(zip(("near", "given"), recalls, strict=False))
        measured["cpu_us"] = round((time.process_time() - begun_s) / searches * 1e6, 1)
        rungs.append(Rung.model_validate({"config": tried.model_dump(), **measured}))
        logger.info("recall measured", extra={**tried.model_dump(), "recall": rungs[-1].recall})
        if rungs[-1].recall >= target:
            break
    return index, rungs
