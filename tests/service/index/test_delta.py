import numpy as np
import pytest

from service.index.arrivals import FIRST_ROOM
from service.index.delta import Delta
from tests.service.made import unit_vectors
from tests.tiny import DIM


def filled(count: int) -> tuple[Delta, np.ndarray]:
    vectors = unit_vectors(count, seed=1)
    delta = Delta(DIM)
    for row, vector in enumerate(vectors):
        assert delta.append(f"d{row}", vector) == row
    return delta, vectors


def no_floor(queries: int) -> np.ndarray:
    return np.full(queries, -np.inf, np.float32)


def test_search_is_exact_over_live_rows() -> None:
    delta, vectors = filled(3 * FIRST_ROOM)
    for row in range(0, len(delta), 2):
        delta.retire(row, tick=1)
    queries = unit_vectors(5, seed=2)
    expected = queries @ vectors.T
    expected[:, ::2] = -np.inf
    found = delta.search(queries, [7] * 5, no_floor(5), len(delta), 1)
    for row, (rows, scores) in enumerate(found):
        assert rows.tolist() == np.argsort(-expected[row])[:7].tolist()
        np.testing.assert_allclose(scores, expected[row][rows], atol=1e-6)


def test_a_reader_does_not_see_what_came_after_its_tick() -> None:
    delta, vectors = filled(FIRST_ROOM - 1)
    [(before, _)] = delta.search(vectors[:1], [300], no_floor(1), FIRST_ROOM - 1, tick=4)
    for vector in vectors[:40]:  # grows meanwhile
        delta.append("late", vector)
    delta.retire(0, tick=5)
    [(after, _)] = delta.search(vectors[:1], [300], no_floor(1), FIRST_ROOM - 1, tick=4)
    assert after.tolist() == before.tolist()
    [(now, _)] = delta.search(vectors[:1], [300], no_floor(1), len(delta), tick=5)
    assert 0 not in now.tolist()
    assert len(now) == len(delta) - 1


def test_what_does_not_reach_the_floor_of_its_query_is_left_out() -> None:
    delta, vectors = filled(40)
    delta.retire(7, tick=1)
    queries = unit_vectors(3, seed=2)
    scores = queries @ vectors.T
    scores[:, 7] = -np.inf
    floors = np.sort(scores)[:, -3]
    floors[2] = 2.0
    found = delta.search(queries, [10] * 3, floors, 40, 1)
    assert [len(rows) for rows, _ in found] == [3, 3, 0]
    for at in range(2):
        assert set(found[at][0].tolist()) == set(np.argsort(-scores[at])[:3].tolist())


def test_an_empty_delta_finds_nothing() -> None:
    [(rows, scores)] = Delta(DIM).search(unit_vectors(1, 1), [10], no_floor(1), 0, 0)
    assert len(rows) == len(scores) == 0


def test_many_queries_are_answered_in_parts_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delta, _ = filled(50)
    queries = unit_vectors(9, seed=3)
    whole = delta.search(queries, [4] * 9, no_floor(9), 50, 0)
    monkeypatch.setattr("service.index.delta.SCORES_AT_ONCE", 100)
    parts = delta.search(queries, [4] * 9, no_floor(9), 50, 0)
    for (rows, _), (again, _) in zip(whole, parts, strict=True):
        assert rows.tolist() == again.tolist()
