import numpy as np
import pytest

import service.index.indexed as module
from export.index.base import IndexSettings, Labels, Scores, Vectors
from export.index.exact import ExactConfig
from export.index.hnsw import HnswConfig
from service.index.indexed import Indexed
from tests.service.made import unit_vectors

COUNT = 400
NONE = np.empty(0, np.int64)
VECTORS = unit_vectors(COUNT, seed=1)


def indexed(settings: IndexSettings, retired: Labels | None = None) -> Indexed:
    """Index the vectors, some of them retired at tick 5."""
    ticks = np.zeros(COUNT, np.int64)
    ticks[NONE if retired is None else retired] = 5
    index = settings.build(VECTORS, threads=1)
    return Indexed(index, VECTORS, ticks, int(np.count_nonzero(ticks)))


@pytest.mark.parametrize("settings", [ExactConfig(), HnswConfig(ef=COUNT)])
@pytest.mark.parametrize("compares", [False, True])
@pytest.mark.parametrize("dead", [0, 40, 390, 400])
def test_the_best_live_rows_are_found_whatever_is_in_the_way(
    settings: IndexSettings, compares: bool, dead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if compares:
        monkeypatch.setattr(module, "GRAPH_MOST", 60)
    query = unit_vectors(3, seed=2)
    scores = query @ VECTORS.T
    gone = np.argsort(-scores[0])[:dead]  # the nearest ones of the first query
    excluded = [NONE, np.arange(0, COUNT, 2), NONE]
    found = indexed(settings, gone).search(query, [10, 25, 400], excluded, tick=5)
    for row, (rows, values) in enumerate(found):
        usable = np.setdiff1d(np.arange(COUNT), np.union1d(gone, excluded[row]))
        expected = usable[np.argsort(-scores[row][usable])][: (10, 25, 400)[row]]
        assert rows.tolist() == expected.tolist()
        np.testing.assert_allclose(values, scores[row][expected], atol=1e-6)


def test_a_search_does_not_see_what_was_retired_after_its_tick() -> None:
    seven = indexed(ExactConfig(), np.array([7]))
    [(before, _)] = seven.search(VECTORS[7:8], [1], [NONE], tick=4)
    [(after, _)] = seven.search(VECTORS[7:8], [1], [NONE], tick=5)
    assert before.tolist() == [7]
    assert after.tolist() != [7]


def test_one_greedy_query_does_not_widen_the_search_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = indexed(ExactConfig())
    asked: list[tuple[int, int]] = []
    search = rows.index.nearest

    def noted(queries: Vectors, k: int) -> tuple[Labels, Scores]:
        asked.append((len(queries), k))
        return search(queries, k)

    monkeypatch.setattr(rows.index, "nearest", noted)
    rows.search(VECTORS[:4], [10, 300, 12, 9], [NONE] * 4, tick=0)
    assert sorted(asked) == [(1, 300), (3, 12)]
