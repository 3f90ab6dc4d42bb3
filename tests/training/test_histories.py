import numpy as np
import pytest
from numpy.typing import NDArray

from training.statistics import histories
from training.statistics.histories import _heaviest_first

ROWS, WORDS = 40, 9


@pytest.mark.parametrize("room", [histories.WHOLE, 1.0], ids=["in one number", "in none"])
@pytest.mark.parametrize(
    "weights",
    [
        np.arange(1.0, 4.0),
        np.array([0.0, 2.0]),
        np.array([0.5, 1.0, 2.0]),
        np.array([-1.0, 0.0, 3.0]),
        np.array([1e300, 1.0]),
    ],
    ids=["counts", "with none", "fractions", "below zero", "vast"],
)
@pytest.mark.filterwarnings("error")
def test_the_heaviest_words_come_first_and_of_equal_ones_the_first(
    weights: NDArray[np.float64], room: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histories, "WHOLE", room)
    rng = np.random.default_rng(3)
    row, word = (one.ravel() for one in np.indices((ROWS, WORDS)))
    some = rng.random(len(row)) < 0.7
    weight = rng.choice(weights, int(some.sum()))
    expected = sorted(
        zip(row[some].tolist(), word[some].tolist(), weight.tolist(), strict=True),
        key=lambda one: (one[0], -one[2], one[1]),
    )
    found = _heaviest_first(row[some], word[some], weight)
    assert list(zip(*(one.tolist() for one in found), strict=True)) == expected
