from datetime import date
from typing import Any

import pytest

from training.start.column import Column
from training.start.kinds import choose

MANY = 120


def kind_of(cells: list[Any], *, name: str = "column", typed: bool = False) -> str | None:
    return choose(Column(name, cells, len(cells), typed)).kind


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["(0,10]", "(10,50]", "(50,100]", "(100,150]"] * 10, "category"),  # no list of two
        ([f"a{n % 9}|a{n % 7}" for n in range(MANY)], "tags"),
        ([f"a{n % 9};b{n % 4}" for n in range(MANY)], "tags"),
        ([f"It rained, and number {n} had to wait, so it went home" for n in range(MANY)], "text"),
        ([f"日本の列車{n}時代" for n in range(MANY)], "text"),
        ([f"0{n % 50:03}" for n in range(MANY)], "category"),  # leading zeros are no numbers
        ([str(n * 7) for n in range(MANY)], "number"),
        ([str(n % 24) for n in range(MANY)], "category"),
        (["true", "false"] * 20, "category"),
        ([f"0.{n},1.5,-2" for n in range(MANY)], "vector"),
        ([f"2021-03-{n % 28 + 1:02}" for n in range(MANY)], None),
        ([f"k{n:04}" for n in range(MANY)], None),
        ([f"8f-{n:03}-aa-{n * 7}" for n in range(MANY)], None),  # words, but none to read
    ],
)
def test_text_cells_are_taken_for_what_they_are(cells: list[str], kind: str | None) -> None:
    assert kind_of(cells) == kind


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([True, False] * 20, "category"),
        ([date(2020, 1, 1), date(2021, 1, 1)] * 20, None),
        ([["a", "b"], ["b"]] * 20, "tags"),
        ([[("a", 1.0)], [("b", 2.0)]] * 20, "tags"),
        ([[0.1, 0.2], [0.3, 0.4]] * 20, "vector"),
        ([[0.1, 0.2], [0.3]] * 20, None),
        ([{"a": 1}] * 20, None),
        ([str(n) for n in range(40)] * 4, "category"),  # a file of types calls it text
        ([n + 0.5 for n in range(MANY)], "number"),
    ],
)
def test_typed_cells_are_taken_for_what_they_are(cells: list[Any], kind: str | None) -> None:
    assert kind_of(cells, typed=True) == kind


def test_whole_numbers_named_as_codes_are_words() -> None:
    cells = [str(100 + n % 60) for n in range(MANY)]
    assert kind_of(cells, name="brand_id") == "category"
    assert kind_of(cells, name="height") == "number"


def test_skewed_numbers_below_zero_get_buckets() -> None:
    skewed = [float(2**n) for n in range(20)] * 2
    assert choose(Column("x", skewed, 40, True)).options.get("log1p") is None  # few whole numbers
    high = [2.0**n + 0.5 for n in range(40)]
    assert choose(Column("x", high, 40, True)).options == {"kind": "number", "log1p": True}
    low = [-0.5, *high]
    assert choose(Column("x", low, 41, True)).options == {"kind": "number", "buckets": 10}


def test_long_texts_are_read_further() -> None:
    long = [f"{n} " + "word " * 80 for n in range(30)]
    assert choose(Column("body", long, 30, False)).options == {"kind": "text", "max_length": 90}
