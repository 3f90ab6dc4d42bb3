import asyncio
import time
from typing import NoReturn

import pytest

from benchmarks.recall_http.marks import LOOP, Marks


def burn(seconds: float) -> None:
    end_s = time.thread_time() + seconds
    while time.thread_time() < end_s:
        pass


class Shop:
    """Work with a part that it calls, and waits."""

    def part(self) -> None:
        burn(0.02)

    def whole(self) -> str:
        burn(0.01)
        self.part()
        return "whole"

    async def slow(self) -> str:
        burn(0.01)
        await asyncio.sleep(0.05)
        self.part()
        return "slow"

    async def bad(self) -> NoReturn:
        await asyncio.sleep(0)
        raise LookupError("bad")


@pytest.fixture
def marks(monkeypatch: pytest.MonkeyPatch) -> Marks:
    marks = Marks()
    for name in ("part", "whole", "slow", "bad"):
        monkeypatch.setattr(Shop, name, vars(Shop)[name])  # put back when the test ends
        marks.put(Shop, name, name)
    return marks


def test_a_stage_has_its_own_cpu_less_that_of_the_stages_it_calls(marks: Marks) -> None:
    assert Shop().whole() == "whole"
    assert marks.ns["whole"] == pytest.approx(10e6, rel=0.3)
    assert marks.ns["part"] == pytest.approx(20e6, rel=0.3)
    assert (marks.calls["whole"], marks.calls["part"]) == (1, 1)


def test_while_a_coroutine_waits_others_have_the_cpu(marks: Marks) -> None:
    async def both() -> list[str | None]:
        async def other() -> None:
            await asyncio.sleep(0.01)
            burn(0.03)

        return list(await asyncio.gather(Shop().slow(), other()))

    assert asyncio.run(both()) == ["slow", None]
    assert marks.ns["slow"] == pytest.approx(10e6, rel=0.3)
    assert marks.ns["part"] == pytest.approx(20e6, rel=0.3)
    assert marks.ns[LOOP] > 30e6


def test_errors_and_cancellations_go_through(marks: Marks) -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(Shop().slow())
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with pytest.raises(LookupError, match="bad"):
        asyncio.run(Shop().bad())
    asyncio.run(cancelled())
    assert marks.calls["part"] == 0
    Shop().part()
    assert marks.calls["part"] == 1
