import pytest

from benchmarks.scale.law import Law


def test_a_line_and_a_power_are_found_again() -> None:
    line = Law.fitted("line", {n: 5.0 + 0.25 * n for n in (10, 100, 1000)})
    assert [line.base, line.slope] == pytest.approx([5.0, 0.25])
    assert line.at(10_000) == pytest.approx(2505)
    power = Law.fitted("power", {n: 3.0 * n**0.5 for n in (10, 100, 1000)})
    assert [power.slope, power.power] == pytest.approx([3.0, 0.5])
    assert power.at(10_000) == pytest.approx(300)


def test_a_law_is_told_as_a_formula() -> None:
    assert Law("line", 0.2, 1e-6).told == "0.2 + 1e-06 n"
    assert Law("power", 0.0, 12.0, 0.125).told == "12 n^0.12"
