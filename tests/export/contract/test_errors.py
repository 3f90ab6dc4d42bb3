"""What is told of a value that cannot be used, however large or deep it is."""

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.contract.errors import MOST_SHOWN, MOST_TOLD, Fault, RecordError, shown

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=200),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=100), inner),
)


@given(JSON)
def test_what_is_shown_is_how_python_writes_it_cut(value: object) -> None:
    whole = repr(value)
    told = shown(value)
    assert len(told) <= MOST_SHOWN
    if len(whole) <= MOST_SHOWN:
        assert told == whole
    elif whole.count('"') == 0:  # which quotes a text has may hang on its end
        assert told == whole[: MOST_SHOWN - 3] + "..."


def test_a_value_that_is_nested_deeper_than_python_can_write_is_shown() -> None:
    value: Any = []
    for _ in range(10 * sys.getrecursionlimit()):
        value = [value]
    with pytest.raises(RecursionError):
        repr(value)
    assert shown(value) == "[" * (MOST_SHOWN - 3) + "..."


def test_what_is_cut_off_is_never_written_out() -> None:
    class Unseen:
        def __repr__(self) -> str:
            raise AssertionError("written out")

    assert shown(["a" * 100, Unseen()]).endswith("...")


def test_the_first_faults_of_many_are_told() -> None:
    faults = [Fault.of(f"a{number}", 1, "another") for number in range(1000)]
    assert RecordError(faults).faults == tuple(faults[:MOST_TOLD])
    assert len(str(RecordError(faults))) < MOST_TOLD * 100


def test_a_name_is_cut_too() -> None:
    assert len(Fault.of("a" * 1000, 1, "another").feature) == MOST_SHOWN
