import re

import numpy as np
import pytest

from training.easyrec.expression import read_expression

COLUMNS = {
    "age": np.array([10.0, 18.0, 40.0, np.nan]),
    "n": np.array([2.0, 0.0, -1.0, 1.0]),
}


def values(text: str) -> list[float | None]:
    found = read_expression(text, COLUMNS)(COLUMNS)
    assert found.dtype == np.float64
    return [None if np.isnan(one) else float(one) for one in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("age", [10, 18, 40]),
        ("7", [7, 7, 7]),
        ("age + 2 * n", [14, 18, 38]),
        ("(age + 2) * n", [24, 0, -42]),
        ("-n - -1.5", [-0.5, 1.5, 2.5]),
        ("age / n", [5, None, -40]),
        ("age >= 18", [0, 1, 1]),
        ("age > 18", [0, 0, 1]),
        ("age<=18", [1, 1, 0]),
        (" age < 18 ", [1, 0, 0]),
        ("age == 40", [0, 0, 1]),
        ("age - 10 > n * 4", [0, 1, 1]),
        ("(age >= 18) & (n < 0)", [0, 0, 1]),
        ("(age < 18) | (n < 0)", [1, 0, 1]),
        ("(age > 1) & (n < 0) | (age < 18)", [1, 0, 1]),
        ("(age < 18) | ((n < 0) & (age > 50))", [1, 0, 0]),
    ],
)
def test_values_by_hand_and_none_where_a_column_is_missing(
    text: str, expected: list[float | None]
) -> None:
    assert values(text) == [*expected, None]


def test_a_column_that_is_missing_leaves_none_even_where_another_decides() -> None:
    columns = {"age": np.array([np.nan, 20.0]), "n": np.array([1.0, 1.0])}
    found = read_expression("(n == 1) | (age > 0)", columns)(columns)
    assert np.isnan(found).tolist() == [True, False]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "numbers, columns of input_names"),
        ("age >", "numbers, columns of input_names"),
        ("age = 3", "numbers, columns of input_names"),
        ("price + 1", "not 'price'"),
        ("age ** 2", "not 'age ** 2'"),
        ("1 < age < 9", "in brackets of its own, as in (a > 1) & (b > 2); not '1 < age < 9'"),
        ("age != 3", "not 'age != 3'"),
        ("'a' == age", "not \"'a'\""),
        ("True", "not 'True'"),
        ("age & n", "a comparison in brackets in place of 'age'"),
        ("age > 3 & n < 2", "in brackets of its own, as in (a > 1) & (b > 2); not 'age > 3 &"),
        ("(age > 3) + 1", "a number in place of 'age > 3'"),
        ("(age > 3) | (n > 1) & (n < 2)", "brackets around what & and | join"),
        ("é + (age > 3)", "not 'é'"),
        ("__import__('os').system('true')", "not \"__import__('os').system('true')\""),
        ("age.real", "not 'age.real'"),
        ("[age][0]", "not '[age][0]'"),
        ("(lambda: age)()", "not '(lambda: age)()'"),
        ("(" * 300 + "age" + ")" * 200, "at most 500 signs"),
        ("(" * 240 + "age" + ")" * 240, "numbers, columns of input_names"),
    ],
)
def test_what_is_no_expression_is_refused_and_never_run(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        read_expression(text, COLUMNS)
