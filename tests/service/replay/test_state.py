"""A generation that was restored is laid out as the one that answered, and finds the same."""

import numpy as np
import pytest

from export.embedder import Vectors
from export.index.hnsw import HnswConfig
from service.generation import THIN_OUT, Generation
from service.records import ItemRecord
from tests.service.made import made_bundle, unit_vectors


def churned(vectors: Vectors, index: object, changes: int) -> Generation:
    """Make a generation with items posted, posted again and removed, at random."""
    generation = Generation(made_bundle(vectors), index)  # type: ignore[arg-type]
    rng, posted = np.random.default_rng(3), unit_vectors(changes, seed=4)
    for rev in range(1, changes + 1):
        name = f"i{rng.integers(900)}" if rng.random() < 0.2 else f"x{rng.integers(300)}"
        is_put = rng.random() < 0.8
        item = ItemRecord(name, rev, "put" if is_put else "delete", {}, {})
        generation.apply(item, posted[rev - 1] if is_put else None)
    return generation


def restored(was: Generation, index: object) -> Generation:
    """Make another of its changes in another order, and lay it out as the first is."""
    made = Generation(was.bundle, index)  # type: ignore[arg-type]
    for name in sorted(was.changed()):
        item = was.change(name)
        assert item is not None
        made.apply(item, was.vector(name))
    return made


@pytest.mark.parametrize("changes", [1, 700, 4 * THIN_OUT])
def test_a_laid_out_generation_finds_the_same_to_the_last_bit(changes: int) -> None:
    vectors = unit_vectors(3000, seed=1)
    index = HnswConfig(M=8, ef_construction=40, ef=20).build(vectors, threads=1)
    was = churned(vectors, index, changes)
    made = restored(was, index)
    delta = was.view.parts()[1]
    places = np.flatnonzero(delta.retired == 0).tolist()
    made.lay_out({delta.ids[place]: place for place in places}, len(delta.vectors))
    again = made.view.parts()[1]
    assert np.flatnonzero(again.retired == 0).tolist() == places
    assert [again.ids[place] for place in places] == [delta.ids[place] for place in places]
    np.testing.assert_array_equal(again.vectors[places], delta.vectors[places])
    excluded = [frozenset(("x1", "x2", "i3", "nothing"))]
    for query in unit_vectors(50, seed=5):
        [one] = was.search(query[None], [40], excluded)
        [other] = made.search(query[None], [40], excluded)
        assert one.items == other.items
        np.testing.assert_array_equal(one.scores, other.scores)


def test_a_laid_out_generation_can_be_changed_on() -> None:
    vectors = unit_vectors(100, seed=1)
    index = HnswConfig().build(vectors, threads=1)
    was = churned(vectors, index, 200)
    made = restored(was, index)
    delta = was.view.parts()[1]
    places = np.flatnonzero(delta.retired == 0).tolist()
    made.lay_out({delta.ids[place]: place for place in places}, len(delta.vectors))
    name = delta.ids[places[0]]
    for generation in (was, made):
        generation.apply(ItemRecord(name, 1000, "delete"), None)
        generation.apply(ItemRecord("later", 1001, "put", {}, {}), vectors[0])
    [one], [other] = (g.search(vectors[:1], [100], [()]) for g in (was, made))
    assert (one.items, "later" in one.items, name in one.items) == (other.items, True, False)
