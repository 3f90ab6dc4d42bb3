from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random

from benchmarks.quality.known import Known
from benchmarks.quality.rivals import RIVALS
from benchmarks.quality.rivals.content_neighbours import ContentNeighbours, word_vectors
from benchmarks.quality.rivals.ease import ease_scores
from benchmarks.quality.rivals.lightgbm import GROUPS, masked
from benchmarks.quality.rivals.wmf import WMF, factors
from benchmarks.quality.rivals.wmf_ridge import WMFRidge, reduced, ridge, sparse_ridge
from benchmarks.quality.row_features import Column, overlap
from tests.benchmarks.quality.conftest import case_of
from tests.benchmarks.quality.sources import COLD, COLD_USERS, ITEMS, TOPICS, USERS
from training.baselines import ItemWords, content_neighbours, random_scores
from training.metrics import UserItems
from training.parts import TEST, VALIDATION
from training.search import Values
from training.span import Choice, Span

EVERYONE = np.arange(USERS)
SMALL = {"size": 8, "alpha": 10.0, "regularization": 1.0, "iterations": 5}


def small_factors(name: str) -> Values:
    assert name == "wmf"
    return SMALL


@pytest.fixture
def known(prepared: Path) -> Known:
    return Known.of(case_of(prepared, "citeulike_cold"), TEST)


@pytest.mark.parametrize("rival", RIVALS, ids=lambda rival: rival.name)
def test_a_search_begins_within_what_it_searches(rival: Any, prepared: Path) -> None:
    for name in ("citeulike_cold", "movielens", "kuairand"):
        known = Known.of(case_of(prepared, name), TEST)
        space, start = rival.space(known), rival.start(known)
        assert space.keys() == start.keys()
        for option, among in space.items():
            if isinstance(among, Choice):
                assert start[option] in among.values
            else:
                assert isinstance(among, Span)
                assert among.low <= start[option] <= among.high


@pytest.mark.parametrize(
    "rival",
    [one for one in RIVALS if one.name not in ("random", "lightgbm")],
    ids=lambda rival: rival.name,
)
def test_whoever_clicked_nothing_gets_popularity(rival: Any, prepared: Path) -> None:
    known = Known.of(case_of(prepared, "movielens"), TEST)
    options = SMALL if rival.name == "wmf" else rival.start(known)
    scores = rival.fit(known, options, 1, small_factors).scores(EVERYONE)
    clicks = known.clicks
    cold = np.flatnonzero(np.diff(clicks.indptr) == 0)
    assert set(range(COLD_USERS, USERS)) <= set(cold)
    assert np.array_equal(scores[COLD_USERS], known.popularity())
    assert scores[0].tolist() != scores[COLD_USERS].tolist() or rival.name == "popularity"


@pytest.mark.parametrize("shape", [(9, 14), (14, 9)], ids=["fewer users", "fewer items"])
def test_ease_is_its_closed_form(shape: tuple[int, int]) -> None:
    dense = (np.random.default_rng(3).random(shape) < 0.4).astype(np.float64)
    dense[:, 2] = 0  # an item that nobody clicked
    clicks = csr_matrix(dense.astype(np.float32))
    inverse = np.linalg.inv(dense.T @ dense + 0.7 * np.eye(shape[1]))
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    np.testing.assert_allclose(ease_scores(clicks, 0.7), dense @ weights, atol=1e-5)
    assert not ease_scores(clicks, 0.7)[:, 2].any()


def test_ease_solves_what_it_stands_for() -> None:
    # Each column of B minimises |x - X b|^2 + l2 |b|^2 without the item's own weight.
    rng = np.random.default_rng(4)
    dense = (rng.random((12, 6)) < 0.5).astype(np.float64)
    others = [0, 1, 2, 4, 5]
    solved = np.linalg.solve(
        dense[:, others].T @ dense[:, others] + 2 * np.eye(5), dense[:, others].T @ dense[:, 3]
    )
    np.testing.assert_allclose(
        ease_scores(csr_matrix(dense), 2.0)[:, 3], dense[:, others] @ solved, atol=1e-5
    )


def test_content_neighbours_begin_as_the_products_own(known: Known) -> None:
    clicks = known.clicks.tocoo()
    own = content_neighbours(
        ItemWords(known.words),
        UserItems.from_pairs(clicks.row, clicks.col, USERS),
        random_scores(ITEMS),
    )
    rival = ContentNeighbours()
    found = rival.fit(known, rival.start(known), 1, small_factors).scores
    assert found is not None
    np.testing.assert_allclose(found(EVERYONE), own(EVERYONE), atol=1e-5)


def test_a_columns_weight_and_the_power_change_the_vectors_as_they_say() -> None:
    columns = {"a": [["x"], ["x"], ["z"], []], "b": [["p"], ["p", "q"], ["q"], []]}
    plain = word_vectors(columns, {}).toarray()
    assert plain.shape == (4, 3)  # z is of one item
    np.testing.assert_allclose(np.linalg.norm(plain, axis=1), [1, 1, 1, 0])
    heavy = word_vectors(columns, {"b": 3.0}).toarray()
    assert heavy[0, 1] / heavy[0, 0] == pytest.approx(3 * plain[0, 1] / plain[0, 0])
    rare = {"a": [["x", "y"], ["x", "y"], ["x"], ["w"]]}
    ratio = {}
    for power in (1.0, 2.0):
        x, y = word_vectors(rare, {"power": power}).toarray()[0]
        ratio[power] = y / x
    assert ratio[2.0] == pytest.approx(ratio[1.0] ** 2)
    assert ratio[1.0] > 1  # fewer items have y


def test_wmf_knows_neither_cold_items_nor_a_preference_among_them(known: Known) -> None:
    found = factors(known, SMALL, 1)
    assert not found.warm[COLD:].any()
    assert found.warm[:COLD].all()
    scores = WMF().fit(known, SMALL, 1, small_factors).scores
    assert scores is not None
    assert not scores(EVERYONE)[:, COLD:].any()
    assert factors(known, SMALL, 1) is found  # and is not made twice
    assert not np.array_equal(factors(known, SMALL, 2).users, found.users)


def test_ridge_and_its_sparse_form_solve_the_normal_equations() -> None:
    rng = np.random.default_rng(7)
    inputs, targets = random(30, 12, density=0.3, random_state=1, format="csr"), rng.random((30, 4))
    dense = inputs.toarray()
    solved = np.linalg.solve(dense.T @ dense + 0.5 * np.eye(12), dense.T @ targets)
    np.testing.assert_allclose(ridge(dense, targets, 0.5), solved, atol=1e-10)
    np.testing.assert_allclose(sparse_ridge(inputs, targets, 0.5), solved, atol=1e-3)


def test_the_reduced_content_keeps_the_largest_directions() -> None:
    words = random(30, 12, density=0.4, random_state=2, format="csr")
    found = reduced(words)
    assert found.shape == (30, 11)
    values = np.linalg.svd(words.toarray(), compute_uv=False)
    np.testing.assert_allclose(np.linalg.norm(found, axis=0), values[:11], atol=1e-8)


@pytest.mark.parametrize("size", ["raw", 100])
def test_a_cold_item_gets_the_factors_its_content_maps_to(known: Known, size: object) -> None:
    rival, found = WMFRidge(), factors(known, SMALL, 1)
    scores = rival.fit(known, {"l2": 0.01, "size": size}, 1, small_factors).scores
    assert scores is not None
    block = scores(EVERYONE)
    np.testing.assert_allclose(block[:, :COLD], (found.users @ found.items.T)[:, :COLD], atol=1e-5)
    cold, own = block[:, COLD:], EVERYONE[:, None] % TOPICS == np.arange(COLD, ITEMS) % TOPICS
    assert cold[own].mean() > cold[~own].mean() + 0.1
    stiff = rival.fit(known, {"l2": 1e6, "size": size}, 1, small_factors).scores
    assert stiff is not None
    assert abs(stiff(EVERYONE)[:, COLD:]).max() < 0.01


def test_a_rival_sees_no_validation_row_when_validation_measures_it(prepared: Path) -> None:
    case = case_of(prepared, "citeulike_cold")
    selecting, testing = Known.of(case, VALIDATION), Known.of(case, TEST)
    assert 0 < selecting.clicks.nnz < testing.clicks.nnz
    assert selecting.clicks.multiply(testing.clicks).nnz == selecting.clicks.nnz
    assert selecting.popularity().sum() == selecting.clicks.nnz


def test_groups_are_hidden_in_their_shares_and_nothing_else_is() -> None:
    columns = [Column("age", False, None)] + [Column(group, False, group) for group in GROUPS]
    matrix = np.ones((4000, 4), np.float32)
    shares = {"user": 0.2, "item": 0.6, "context": 0.0}
    found = np.isnan(masked(matrix, columns, shares, np.random.default_rng(1))).mean(axis=0)
    np.testing.assert_allclose(found, [0, 0.2, 0.6, 0], atol=0.03)
    assert not np.isnan(matrix).any()


def test_overlap_is_the_share_of_a_profile_on_the_items_words() -> None:
    profile, weights = np.array([[3, 4, 0], [5, 0, 0]]), np.array([[2.0, 1, 0], [0, 0, 0]])
    words = np.array([[4, 3], [5, 0]])
    assert overlap(profile, weights.astype(np.float32), words).tolist() == [[1.0], [0.0]]
    one = overlap(profile, weights.astype(np.float32), words[:, :1])
    assert one[0, 0] == pytest.approx(1 / 3)
