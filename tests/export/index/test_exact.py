import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.index import exact
from export.index.exact import ExactConfig, nearest


@given(st.integers(1, 30), st.integers(0, 5), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_the_answer_is_that_of_sorting_everything(n: int, b: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    made = rng.choice(np.array([-0.5, 0.5], np.float32), (n + b, 4))
    vectors, queries = made[:n], made[n:]
    labels, scores = ExactConfig().build(vectors).search(queries, k)
    for query, found, of_found in zip(queries, labels, scores, strict=True):
        expected = sorted((-score, label) for label, score in enumerate(vectors @ query))[:k]
        assert list(zip(-of_found, found, strict=True)) == expected


def test_queries_in_small_pieces_get_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    made = np.random.default_rng(1).choice(np.array([-0.5, 0.5], np.float32), (60, 4))
    whole = nearest(made[:50], made[50:], 7)
    for at_once in (1, 150):
        monkeypatch.setattr(exact, "SCORES_AT_ONCE", at_once)
        for before, now in zip(whole, nearest(made[:50], made[50:], 7), strict=True):
            np.testing.assert_array_equal(before, now)
