import threading

import numpy as np
import pytest

from export.index.base import VectorError, Vectors
from export.index.clustered import clustered_vectors, queries_near
from export.index.exact import ExactConfig
from export.index.hnsw import HnswConfig, HnswIndex
from export.index.tune import recall_at_k
from export.index.twins import SLICE, Twins

DIM = 16
VECTORS = clustered_vectors(3000, DIM)
QUERIES = queries_near(VECTORS, 50, seed=3)
SETTINGS = HnswConfig(ef=150)


def test_what_is_read_holds_all_that_was_taken_in_and_finds_it() -> None:
    twins = Twins(SETTINGS, DIM, len(VECTORS))
    for start, end in ((0, 1), (1, 500), (500, 500), (500, 1700), (1700, 3000)):
        twins.grow(VECTORS[start:end])
        index = twins.read()
        assert len(index) == len(twins) == end
        labels, scores = index.search(QUERIES, 100)
        of_labels = np.einsum("bkd,bd->bk", VECTORS[labels], QUERIES)
        np.testing.assert_allclose(scores, of_labels, atol=1e-6)
        _, truth = ExactConfig().build(VECTORS[:end]).search(QUERIES, 100)
        assert recall_at_k(scores, truth) >= 0.99


def test_a_twin_that_may_still_be_searched_does_not_grow() -> None:
    twins = Twins(SETTINGS, DIM, 300)
    twins.grow(VECTORS[:100])
    first = twins.read()
    twins.grow(VECTORS[100:200])
    second = twins.read()
    assert not twins.can_grow
    with pytest.raises(AssertionError, match="searched"):
        twins.grow(VECTORS[200:300])
    assert len(first) == 100
    del first
    assert twins.can_grow
    twins.grow(VECTORS[200:300])
    assert len(second) == 200


def test_a_search_beside_growth_finds_what_it_found_before() -> None:
    twins = Twins(HnswConfig(ef=600), DIM, 3000)
    twins.grow(VECTORS[:500])
    index = twins.read()
    before = index.search(QUERIES, 100)
    growing = threading.Thread(target=twins.grow, args=(VECTORS[500:],))
    growing.start()
    searches = 0
    while growing.is_alive():
        labels, scores = index.search(QUERIES, 100)
        assert labels.tolist() == before[0].tolist()
        assert scores.tolist() == before[1].tolist()
        searches += 1
    growing.join()
    assert searches
    assert len(twins) == 3000


def test_each_vector_is_linked_in_twice_however_many_steps_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    linked: list[int] = []
    add = HnswIndex.with_more

    def noted(self: HnswIndex, vectors: Vectors) -> HnswIndex:
        linked.append(len(vectors))
        return add(self, vectors)

    monkeypatch.setattr(HnswIndex, "with_more", noted)
    twins = Twins(SETTINGS, DIM, len(VECTORS))
    for start in range(0, 3000, 300):
        twins.grow(VECTORS[start : start + 300])
    assert sum(linked) == 2 * 3000 - 300
    assert max(linked) <= SLICE


def test_growth_that_is_broken_off_spoils_nothing_that_was_read() -> None:
    class Enough(Exception):
        pass

    def pause(_: float) -> None:
        raise Enough

    twins = Twins(SETTINGS, DIM, 1000)
    twins.grow(VECTORS[:400])
    index = twins.read()
    before = index.search(QUERIES, 10)
    with pytest.raises(Enough):
        twins.grow(VECTORS[400:1000], pause)
    assert twins.is_broken
    assert not twins.can_grow
    assert index.search(QUERIES, 10)[0].tolist() == before[0].tolist()


def test_more_than_there_is_room_for_is_refused_and_changes_nothing() -> None:
    twins = Twins(SETTINGS, DIM, 100)
    twins.grow(VECTORS[:60])
    with pytest.raises(VectorError, match="41 after 60, room for 100"):
        twins.grow(VECTORS[60:101])
    assert (len(twins), twins.is_broken) == (60, False)


def test_ef_holds_from_the_next_reading_on() -> None:
    twins = Twins(HnswConfig(M=4, ef_construction=16, ef=10), DIM, 3000)
    twins.grow(VECTORS)
    _, truth = ExactConfig().build(VECTORS).search(QUERIES, 10)
    low = recall_at_k(twins.read().search(QUERIES, 10)[1], truth)
    twins.ef = 300
    assert recall_at_k(twins.read().search(QUERIES, 10)[1], truth) > low
    twins.grow(VECTORS[:0])
    assert twins.read().ef == 300
