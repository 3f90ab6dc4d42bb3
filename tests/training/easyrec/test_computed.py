import re

import pytest

from training.easyrec.computed import Computed, Joined, Looked, Worked
from training.easyrec.expression import read_expression

LOOKED = Looked(("kind", "map"), "|", ":")
WORKED = Worked(("a", "b"), read_expression("a / b", ("a", "b")))
JOINED = Joined(("x", "y", "z"), "_", ("", "", ""))
SPLIT = Joined(("x", "y"), "&", (",", ""))


@pytest.mark.parametrize(
    ("computed", "row", "expected"),
    [
        (LOOKED, ("tv", "tv:3|car:9"), "3"),
        (LOOKED, ("tv", "tv:3|car:9|tv:4"), "3|4"),
        (LOOKED, ("tv", "tv:a:b|tv:"), "a:b"),
        (LOOKED, ("t", "tv:3"), ""),
        (LOOKED, ("", "tv:3"), ""),
        (LOOKED, ("tv", ""), ""),
        (WORKED, ("3", "2"), "1.5"),
        (WORKED, ("3", "0"), ""),
        (WORKED, ("", "2"), ""),
        (JOINED, ("a", "b", "c"), "a_b_c"),
        (JOINED, ("a", "", "c"), ""),
        (SPLIT, ("a,b,,c", "d"), "a&d,b&d,c&d"),
        (SPLIT, ("", "d"), ""),
    ],
)
def test_cells_by_hand(computed: Computed, row: tuple[str, ...], expected: str) -> None:
    assert computed([[cell] for cell in row]) == [expected]


def test_rows_keep_their_order() -> None:
    assert LOOKED([["b", "a"], ["a:1|b:2", "a:3"]]) == ["2", "3"]


@pytest.mark.parametrize(
    ("computed", "row", "told"),
    [
        (LOOKED, ("tv", "tv:3|car"), "row 1: got 'car', expected a key:value"),
        (WORKED, ("x", "1"), "row 1: got 'x' in 'a', expected a number"),
        (SPLIT, ("a", "d,e"), "row 1: got 'a&d,e', expected no ',' in it"),
    ],
)
def test_a_cell_that_cannot_be_read_names_its_row(
    computed: Computed, row: tuple[str, ...], told: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        computed([[cell] for cell in row])


@pytest.mark.parametrize(
    ("computed", "told"),
    [
        (LOOKED, "what map has for kind, parted by '|'"),
        (WORKED, "a / b"),
        (JOINED, "the words of x, y, z, joined by '_'"),
    ],
)
def test_each_says_what_it_is(computed: Computed, told: str) -> None:
    assert str(computed) == told
