import pytest

from benchmarks.targets import Target, ratios

FASTER = Target[float]("times as fast", lambda found: found / 2, 3.0, is_least=True)
SMALLER = Target[float]("of the size", lambda found: found / 10, 0.5)


def test_a_ratio_is_the_median_of_those_of_the_rounds() -> None:
    [faster, smaller] = ratios([FASTER, SMALLER], [4.0, 9.0, 5.0])
    assert (faster["median"], faster["least"], faster["most"]) == (2.5, 2.0, 4.5)
    assert (faster["target"], faster["is"]) == ("at least 3", "missed")
    assert (smaller["median"], smaller["target"], smaller["is"]) == (0.5, "at most 0.5", "met")


@pytest.mark.parametrize("target", [FASTER, SMALLER])
def test_at_the_limit_is_met_and_beyond_it_only_on_the_right_side(target: Target[float]) -> None:
    assert target.is_met(target.limit)
    assert target.is_met(target.limit * 1.01) == target.is_least
