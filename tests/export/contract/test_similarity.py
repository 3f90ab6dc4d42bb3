"""The lift: unit vectors whose inner products order items as the raw ones do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from export.contract.similarity import (
    count_clipped,
    extra_dims,
    lifted_items,
    lifted_users,
)

values = st.floats(-50, 50, width=32)
rows = st.integers(1, 12)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Draw vectors of some users, none of them 0, and of some items."""
    dim = draw(st.integers(1, 5))
    users = draw(arrays(np.float32, (draw(rows), dim), elements=values))
    items = draw(arrays(np.float32, (draw(rows), dim), elements=values))
    users[np.linalg.norm(users, axis=1) < 1e-3, 0] = 1.0
    return users, items


def bound(items: np.ndarray) -> float:
    return 1.1 * float(np.linalg.norm(items, axis=1).max()) or 1.0


@given(worlds())
def test_lifted_vectors_have_unit_length(world: tuple[np.ndarray, np.ndarray]) -> None:
    users, items = world
    for lifted in (lifted_users(users), lifted_items(items, bound(items))):
        assert lifted.dtype == np.float32
        assert np.linalg.norm(lifted, axis=1) == pytest.approx(1, abs=1e-5)


@given(worlds())
def test_the_order_is_the_raw_inner_products(world: tuple[np.ndarray, np.ndarray]) -> None:
    """Of any two items the one with the higher raw product scores higher, but for rounding."""
    users, items = world
    largest = bound(items)
    scores = lifted_users(users) @ lifted_items(items, largest).T
    raw = users.astype(np.float64) @ items.T.astype(np.float64)
    length = np.linalg.norm(users, axis=1, keepdims=True)
    assert scores == pytest.approx(raw / (length * largest), abs=2e-6)
    for row, score in zip(raw / (length * largest), scores, strict=True):
        apart = row[:, None] - row > 1e-5
        assert (score[:, None] - score)[apart].min(initial=1) > 0


@given(worlds(), st.floats(1.01, 5))
def test_an_item_beyond_the_bound_is_cut_to_it_and_told_by_its_last_value(
    world: tuple[np.ndarray, np.ndarray], beyond: float
) -> None:
    items = world[1]
    items[np.linalg.norm(items, axis=1) < 1e-3, 0] = 1.0
    norms = np.linalg.norm(items, axis=1)
    largest = float(norms.max()) / beyond
    lifted = lifted_items(items, largest)
    is_cut = norms.astype(np.float32) >= np.float32(largest)
    assert is_cut.any()
    assert ((lifted[:, -1] == 0) == is_cut).all()
    assert count_clipped("inner_product", lifted) == is_cut.sum()
    heads = items[is_cut] / norms[is_cut, None]
    assert lifted[is_cut, :-1] == pytest.approx(heads, abs=1e-5)


def test_vectors_of_a_cosine_are_never_cut() -> None:
    vectors = np.array([[1.0, 0.0], [0.6, 0.8]], dtype=np.float32)
    assert count_clipped("cosine", vectors) == 0
    assert count_clipped("inner_product", vectors) == 1


def test_only_an_inner_product_is_lifted() -> None:
    assert (extra_dims("cosine"), extra_dims("inner_product")) == (0, 1)
