"""Factors solve the weighted least squares they are said to solve, and each option shows."""

import sys

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from export.contract.errors import ConfigError
from training.wmf import WMFConfig

USERS, ITEMS = 30, 20


@pytest.fixture(scope="module")
def clicks() -> csr_matrix:
    """Two tastes; each user clicked some of the items of its own, a few of them more than once."""
    rng = np.random.default_rng(4)
    alike = np.arange(USERS)[:, None] % 2 == np.arange(ITEMS) % 2
    clicked = alike & (rng.random((USERS, ITEMS)) < 0.5)
    return csr_matrix((clicked * rng.integers(1, 4, (USERS, ITEMS))).astype(np.float32))


def objective(
    options: WMFConfig, clicks: csr_matrix, users: np.ndarray, items: np.ndarray
) -> float:
    wanted = clicks.toarray() > 0
    confidence = 1 + options.alpha * clicks.toarray()
    errors = (confidence * (wanted - users @ items.T) ** 2).sum()
    lengths = (users**2).sum() + (items**2).sum()
    return float(errors + options.regularization * lengths)


def test_each_users_factor_solves_its_normal_equations(clicks: csr_matrix) -> None:
    """(V' C V + reg I) u = V' C p, with C = 1 + alpha * weight and p = 1 where it was clicked."""
    options = WMFConfig(size=3, alpha=2.0, regularization=0.7, iterations=200)
    users, items = options.fit(clicks)
    for user, weights in zip(users, clicks.toarray(), strict=True):
        confidence = 1 + 2.0 * weights
        left = items.T @ (items * confidence[:, None]) + 0.7 * np.eye(3)
        right = items.T @ (confidence * (weights > 0))
        np.testing.assert_allclose(user, np.linalg.solve(left, right), atol=2e-3)


def test_the_clicks_that_are_given_stay_as_they_are(clicks: csr_matrix) -> None:
    before = clicks.copy()
    WMFConfig(size=2, iterations=1).fit(clicks)
    assert (before != clicks).nnz == 0


def test_size_is_the_length_of_the_vectors(clicks: csr_matrix) -> None:
    users, items = WMFConfig(size=5).fit(clicks)
    assert (users.shape, items.shape) == ((USERS, 5), (ITEMS, 5))
    assert users.dtype == items.dtype == np.float32


def test_more_alpha_brings_what_was_clicked_nearer_to_one(clicks: csr_matrix) -> None:
    off = []
    for alpha in (0.0, 2.0, 50.0):
        users, items = WMFConfig(size=2, alpha=alpha).fit(clicks)
        off.append(np.abs(1 - (users @ items.T)[clicks.toarray() > 0]).mean())
    assert off == sorted(off, reverse=True)
    assert off[2] < 0.5 * off[0]


def test_more_regularization_makes_shorter_vectors(clicks: csr_matrix) -> None:
    length = [
        np.linalg.norm(WMFConfig(size=4, regularization=one).fit(clicks)[0]) for one in (0.1, 30)
    ]
    assert length[1] < 0.9 * length[0]


def test_more_iterations_lower_the_objective(clicks: csr_matrix) -> None:
    found = []
    for iterations in (1, 4, 30):
        options = WMFConfig(size=4, iterations=iterations)
        found.append(objective(options, clicks, *options.fit(clicks)))
    assert found == sorted(found, reverse=True)
    assert found[2] < found[0]


def test_equal_seeds_give_equal_factors_and_others_do_not(clicks: csr_matrix) -> None:
    first, again, other = (WMFConfig(size=4, seed=seed).fit(clicks)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_a_missing_library_is_named_with_its_extra(
    clicks: csr_matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "implicit.cpu.als", None)
    with pytest.raises(ConfigError, match=r"pip install 'firstsight\[factors\]'"):
        WMFConfig().fit(clicks)
