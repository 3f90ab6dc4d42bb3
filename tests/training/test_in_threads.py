import threading
from collections.abc import Iterator

import pytest

from training import in_threads as module
from training.in_threads import in_threads


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "THREADS", 2)


def test_what_is_made_comes_in_the_order_of_its_parts() -> None:
    gate = threading.Event()

    def work(part: int) -> int:
        if part == 0:
            assert gate.wait(10)  # the first ends last
        else:
            gate.set()
        return part * part

    assert list(in_threads(work, range(7))) == [part * part for part in range(7)]


def test_parts_are_worked_on_at_the_same_time() -> None:
    together = threading.Barrier(2, timeout=10)
    assert list(in_threads(lambda part: together.wait() >= 0, range(4))) == [True] * 4


def test_parts_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []

    def parts() -> Iterator[int]:
        for part in range(100):
            taken.append(part)
            yield part

    assert next(in_threads(lambda part: part, parts())) == 0
    assert len(taken) == 3


def test_what_is_raised_is_raised_in_the_place_of_its_part() -> None:
    def work(part: int) -> int:
        if part == 2:
            raise ValueError("the third")
        return part

    made = in_threads(work, range(100))
    assert [next(made), next(made)] == [0, 1]
    with pytest.raises(ValueError, match="the third"):
        next(made)
