import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.index.found import merge


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.integers(-2, 2)), st.integers(1, 8))
def test_merged_is_best_first_and_equal_scores_go_by_id(scores: dict[str, int], k: int) -> None:
    found = merge(list(scores), np.array(list(scores.values()), np.float32), k)
    expected = sorted(scores, key=lambda one: (-scores[one], one))[:k]
    assert found.items == expected
    assert found.scores.tolist() == [scores[one] for one in expected]
    assert found.exhausted == (len(scores) < k)
