import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from training.doctor.ranks import partial, ranks, spearman


def test_ranks_and_correlation_are_those_of_scipy() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.integers(9, size=60), rng.integers(9, size=60)
    np.testing.assert_allclose(ranks(first), rankdata(first) - 1)
    assert spearman(first, second) == pytest.approx(spearmanr(first, second).statistic)


def test_what_is_known_is_taken_out() -> None:
    rng = np.random.default_rng(2)
    known, news = rng.normal(size=500), rng.normal(size=500)
    assert partial(known + 0.1 * rng.normal(size=500), known + 0.1 * news, [known]) < 0.2
    assert partial(known + news, news, [known]) > 0.9


@pytest.mark.parametrize("other", [np.ones(8), np.arange(8)])
def test_what_says_nothing_correlates_with_nothing(other: np.ndarray) -> None:
    assert spearman(np.ones(8), other) == 0
    assert partial(np.arange(8), other, [np.arange(8)]) == 0
