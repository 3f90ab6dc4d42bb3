import numpy as np

from service.index.arrivals import FIRST_ROOM, Arrivals
from tests.service.made import unit_vectors
from tests.tiny import DIM

VECTORS = unit_vectors(3 * FIRST_ROOM, seed=1)


def test_rows_keep_their_ids_and_vectors_however_many_come() -> None:
    arrivals = Arrivals(DIM)
    ids = [f"d{n}" for n in range(len(VECTORS))]
    assert arrivals.append(ids[0], VECTORS[0]) == 0
    arrivals.extend(ids[1:], VECTORS[1:])
    assert (len(arrivals), arrivals.live, arrivals.ids) == (len(ids), len(ids), ids)
    assert np.array_equal(arrivals.vectors(slice(len(ids))), VECTORS)
    assert [arrivals.row(one) for one in ids] == list(range(len(ids)))


def test_a_retired_row_is_live_no_more_and_tells_when() -> None:
    arrivals = Arrivals(DIM)
    arrivals.extend(["a", "b", "c"], VECTORS[:3])
    arrivals.retire(1, tick=7)
    assert arrivals.row("b") is None
    assert (len(arrivals), arrivals.live) == (3, 2)
    assert arrivals.live_rows().tolist() == [0, 2]
    assert arrivals.live_rows(1).tolist() == [2]
    assert arrivals.retired(slice(3)).tolist() == [0, 7, 0]
    assert arrivals.append("b", VECTORS[3]) == 3
    assert arrivals.row("b") == 3


def test_an_excluded_id_is_dropped_and_made_up_for_even_when_it_is_gone() -> None:
    arrivals = Arrivals(DIM)
    arrivals.extend(["a", "b", "c"], VECTORS[:3])
    arrivals.retire(0, tick=1)
    excluded = [{"a", "c", "nobody"}, set[str]()]
    assert arrivals.widened([5, 5], excluded) == [7, 5]
    rows, scores = np.array([2, 1]), np.array([0.9, 0.4], np.float32)
    one, own = arrivals.named(rows, scores, excluded[0])
    assert (one, own.tolist()) == (["b"], [np.float32(0.4)])
    assert arrivals.named(rows, scores, excluded[1])[0] == ["c", "b"]
