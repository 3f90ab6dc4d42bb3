import numpy as np
import pytest

from training.telling import as_numbers, telling

ROWS = 400


@pytest.fixture
def log() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        "user": rng.integers(20, size=ROWS),
        "label": rng.integers(2, size=ROWS),
        "time": rng.permutation(ROWS),
    }


def counts(log: dict[str, np.ndarray], *, own: bool) -> np.ndarray:
    """Return each user's clicks before a row, its own among them or not."""
    found = np.zeros(ROWS)
    for row in range(ROWS):
        mine = log["user"] == log["user"][row]
        before = mine & (log["time"] < log["time"][row])
        found[row] = log["label"][before].sum() + (log["label"][row] if own else 0)
    return found


def test_a_count_that_holds_its_own_row_tells_by_its_steps(log: dict[str, np.ndarray]) -> None:
    told = telling(counts(log, own=True), log["label"], {"user": log["user"]}, log["time"])
    assert told["step of user"] == 1.0
    assert told["over all"] < 0.7


def test_a_count_of_what_went_before_tells_little(log: dict[str, np.ndarray]) -> None:
    told = telling(counts(log, own=False), log["label"], {"user": log["user"]}, log["time"])
    assert max(told.values()) < 0.65


def test_another_name_of_the_label_tells_it_whatever_its_sign(log: dict[str, np.ndarray]) -> None:
    told = telling(-log["label"].astype(float), log["label"], {"user": log["user"]})
    assert told["over all"] == told["within user"] == 1.0


def test_words_of_single_rows_tell_nothing_of_them(log: dict[str, np.ndarray]) -> None:
    assert np.isnan(as_numbers(np.arange(ROWS), log["label"])).all()
    told = telling(as_numbers(log["label"], log["label"]), log["label"], {})
    assert told == {"over all": 1.0}


def test_too_few_rows_say_nothing() -> None:
    label = np.array([0, 1] * 9)
    assert telling(label.astype(float), label, {"user": label}) == {}
