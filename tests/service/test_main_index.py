import numpy as np
import pytest

import service.main_index as module
from export.index.base import IndexSettings, Labels, Scores, Vectors
from export.index.exact import ExactConfig
from export.index.hnsw import HnswConfig
from service.ids import Ids
from service.main_index import MainIndex
from tests.service.made import unit_vectors

COUNT = 400
NONE = np.empty(0, np.int64)


def made_index(settings: IndexSettings) -> tuple[MainIndex, np.ndarray]:
    vectors = unit_vectors(COUNT, seed=1)
    ids = Ids([f"i{n}" for n in range(COUNT)])
    return MainIndex(ids, vectors, settings.build(vectors, threads=1)), vectors


@pytest.mark.parametrize("settings", [ExactConfig(), HnswConfig(ef=COUNT)])
@pytest.mark.parametrize("compares", [False, True])
@pytest.mark.parametrize("dead", [0, 40, 390, 400])
def test_the_best_live_rows_are_found_whatever_is_in_the_way(
    settings: IndexSettings, compares: bool, dead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if compares:
        monkeypatch.setattr(module, "GRAPH_MOST", 60)
    index, vectors = made_index(settings)
    query = unit_vectors(3, seed=2)
    scores = query @ vectors.T
    for row in np.argsort(-scores[0])[:dead]:  # the nearest ones of the first query
        index.retire(int(row), tick=1)
    excluded = [NONE, np.arange(0, COUNT, 2), NONE]
    found = index.search(query, [10, 25, 400], excluded, tick=1)
    gone = np.argsort(-scores[0])[:dead]
    for row, (rows, values) in enumerate(found):
        usable = np.setdiff1d(np.arange(COUNT), np.union1d(gone, excluded[row]))
        expected = usable[np.argsort(-scores[row][usable])][: (10, 25, 400)[row]]
        assert rows.tolist() == expected.tolist()
        np.testing.assert_allclose(values, scores[row][expected], atol=1e-6)


def test_a_search_does_not_see_what_was_retired_after_its_tick() -> None:
    index, vectors = made_index(ExactConfig())
    index.retire(7, tick=5)
    [(before, _)] = index.search(vectors[7:8], [1], [NONE], tick=4)
    [(after, _)] = index.search(vectors[7:8], [1], [NONE], tick=5)
    assert before.tolist() == [7]
    assert after.tolist() != [7]


def test_one_greedy_query_does_not_widen_the_search_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index, vectors = made_index(ExactConfig())
    asked: list[tuple[int, int]] = []
    search = index._index.search

    def noted(queries: Vectors, k: int) -> tuple[Labels, Scores]:
        asked.append((len(queries), k))
        return search(queries, k)

    monkeypatch.setattr(index._index, "search", noted)
    index.search(vectors[:4], [10, 300, 12, 9], [NONE] * 4, tick=0)
    assert sorted(asked) == [(1, 300), (3, 12)]
