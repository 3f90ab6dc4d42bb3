"""Rows of different lengths: whatever is gathered is what was put in."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.ragged import Ragged

LISTS = st.lists(st.lists(st.integers(0, 1000), max_size=6), min_size=1, max_size=12)


def ragged(lists: list[list[int]]) -> Ragged:
    flat = np.array([value for row in lists for value in row], dtype=np.int32)
    return replace(
        Ragged.of(np.array([len(row) for row in lists]), flat),
        weights=(flat / 2).astype(np.float32),
    )


def lists_of(rows: Ragged) -> list[list[int]]:
    return [part.tolist() for part in np.split(rows.values, rows.indptr[1:-1])]


@given(lists=LISTS, data=st.data())
def test_taken_rows_are_the_rows_asked_for(lists: list[list[int]], data: st.DataObject) -> None:
    asked = data.draw(st.lists(st.integers(0, len(lists) - 1), min_size=1, max_size=20))
    taken = ragged(lists).take(np.array(asked))
    assert lists_of(taken) == [lists[row] for row in asked]
    assert taken.weights is not None
    np.testing.assert_array_equal(taken.weights, taken.values / 2)


@given(lists=LISTS, width=st.one_of(st.none(), st.integers(0, 8)), first=st.booleans())
def test_batch_holds_the_end_asked_for_and_padding(
    lists: list[list[int]], width: int | None, first: bool
) -> None:
    rows = np.arange(len(lists))[::-1]
    ids, weights, mask = ragged(lists).rows(rows, width, "first" if first else "last")
    wide = max(map(len, lists)) if width is None else width
    assert ids.shape == mask.shape == (len(lists), wide)
    assert weights is not None
    for i, row in enumerate(rows):
        kept = lists[row][:wide] if first else lists[row][max(len(lists[row]) - wide, 0) :]
        assert ids[i].tolist() == kept + [-1] * (wide - len(kept))
        assert mask[i].tolist() == [True] * len(kept) + [False] * (wide - len(kept))
        assert weights[i].tolist() == [value / 2 for value in kept] + [0] * (wide - len(kept))


@given(first=LISTS, second=LISTS)
def test_joined_parts_follow_each_other(first: list[list[int]], second: list[list[int]]) -> None:
    assert lists_of(Ragged.concat([ragged(first), ragged(second)])) == first + second


def test_missing_row_is_told_from_an_empty_one() -> None:
    rows = Ragged.of(np.array([0, 0]), np.array([]), missing=np.array([True, False]))
    assert rows.take(np.array([1, 0])).missing.tolist() == [False, True]
    assert rows.rows(np.array([0, 1])).ids.shape == (2, 0)


def test_row_that_is_not_there_is_refused() -> None:
    with pytest.raises(IndexError):
        ragged([[1]]).take(np.array([1]))
