import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.index.found import Named, merge, merge_all
from service.index.ids import Ids
from service.index.top import Hits


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.integers(-2, 2)), st.integers(1, 8))
def test_merged_is_best_first_and_equal_scores_go_by_id(scores: dict[str, int], k: int) -> None:
    found = merge(list(scores), np.array(list(scores.values()), np.float32), k)
    expected = sorted(scores, key=lambda one: (-scores[one], one))[:k]
    assert found.items == expected
    assert found.scores.tolist() == [scores[one] for one in expected]
    assert found.exhausted == (len(scores) < k)


parts = st.tuples(
    st.dictionaries(st.text(min_size=1, max_size=3), st.floats(-1, 1, width=32), max_size=6),
    st.dictionaries(st.text(min_size=1, max_size=3), st.floats(-1, 1, width=32), max_size=3),
    st.integers(1, 8),
)


@given(st.lists(parts, min_size=1, max_size=5))
def test_hits_of_many_queries_are_merged_with_what_stands_beside_them(
    queries: list[tuple[dict[str, float], dict[str, float], int]],
) -> None:
    ids = Ids(sorted({one for in_main, _, _ in queries for one in in_main}))
    hits: list[Hits] = []
    others: list[Named] = []
    for in_main, beside, k in queries:
        best = sorted(in_main, key=lambda one: (-in_main[one], one))[:k]
        rows = np.array([ids.row(one) for one in best], np.int64)
        hits.append((rows, np.array([in_main[one] for one in best], np.float32)))
        late = [one for one in beside if one not in in_main]
        others.append((late, np.array([beside[one] for one in late], np.float32)))
    found = merge_all(ids, hits, others, [k for _, _, k in queries])
    for (in_main, beside, k), got in zip(queries, found, strict=True):
        scores = {**beside, **in_main}
        assert got.items == sorted(scores, key=lambda one: (-scores[one], one))[:k]
        assert got.scores.tolist() == [scores[one] for one in got.items]
        assert got.exhausted == (len(scores) < k)
