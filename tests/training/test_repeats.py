from datetime import date, datetime, time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.repeats import digests, first_of_equals

CELLS: dict[pa.DataType, list[Any]] = {
    pa.int64(): [0, 1, -1, -2, 2**62, None],
    pa.uint64(): [0, 2**64 - 1, None],
    pa.float64(): [0.0, -0.0, 1.0, float("nan"), float("inf"), None],
    pa.float32(): [0.0, 0.1, None],
    pa.bool_(): [True, False, None],
    pa.string(): ["", "a", "A", " a", None],
    pa.binary(): [b"", b"a", None],
    pa.dictionary(pa.int8(), pa.string()): ["a", "b", None],
    pa.timestamp("us"): [datetime(1970, 1, 1), datetime(2024, 1, 1), None],
    pa.date32(): [date(1970, 1, 1), date(2024, 1, 1), None],
    pa.time64("us"): [time(0), time(1, 2, 3), None],
    pa.decimal128(5, 2): [0, 1, None],
    pa.list_(pa.string()): [[], ["a"], ["a", "b"], ["b", "a"], None],
    pa.null(): [None],
}


@pytest.mark.parametrize("kind", CELLS, ids=str)
def test_cells_that_differ_have_digests_that_differ(kind: pa.DataType) -> None:
    cells = CELLS[kind]
    column = pa.array([*cells, *cells], kind)
    found = digests(pa.table({"a": column})).tolist()
    assert found[: len(cells)] == found[len(cells) :]
    assert len(set(found)) == len(cells)


def test_cells_that_change_places_are_other_rows() -> None:
    one = digests(pa.table({"a": ["x", "y", "x"], "b": ["y", "x", None]}))
    assert len(set(one.tolist())) == 3


@settings(max_examples=100)
@given(st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=1, max_size=40))
def test_the_first_of_equal_rows_is_said_to_be_it(rows: list[tuple[int, int, int]]) -> None:
    user, item, rest = np.array(rows).T
    found = first_of_equals(user.astype(np.int32), item.astype(np.int32), rest.astype(np.uint64))
    wanted = [row not in rows[:place] for place, row in enumerate(rows)]
    assert (found is None) == all(wanted)
    assert found is None or found.tolist() == wanted
