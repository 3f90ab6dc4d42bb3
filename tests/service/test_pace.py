import pytest

from service.pace import SLICE_S, Pace


def test_short_searches_are_made_together_up_to_the_most() -> None:
    pace = Pace(16)
    assert pace.batch() == 16
    for _ in range(50):
        pace.note(16, 16 * SLICE_S / 20)
    assert pace.batch() == 16
    assert not pace.is_slow


@pytest.mark.parametrize(("fit", "batch"), [(4, 4), (1.5, 1), (0.5, 1)])
def test_of_longer_ones_so_many_are_made_as_fit_the_slice(fit: float, batch: int) -> None:
    pace = Pace(16)
    for _ in range(50):
        pace.note(2, 2 * SLICE_S / (fit + 0.01))
    assert pace.batch() == batch
    assert pace.is_slow == (fit < 1)


def test_one_long_search_alone_changes_little() -> None:
    pace = Pace(16)
    for _ in range(50):
        pace.note(1, SLICE_S / 100)
    pace.note(1, SLICE_S)
    assert pace.batch() >= 4
    assert not pace.is_slow
