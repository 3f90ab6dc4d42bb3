"""What is bounded ends, even where a cancellation is swallowed, and others may still cancel."""

import asyncio

import pytest

from service.store.within import Within


async def deaf(times: int) -> str:
    """Swallow so many cancellations, as `wait_for` of Python 3.11 can."""
    for _ in range(times):
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            continue
    await asyncio.sleep(30)
    return "slept"


@pytest.mark.parametrize("times", [0, 1, 2])
def test_the_bound_holds_however_many_cancellations_are_swallowed(times: int) -> None:
    async def run() -> int:
        with pytest.raises(TimeoutError, match=r"no reply within 0\.01 s"):
            async with Within(0.01):
                await deaf(times)
        task = asyncio.current_task()
        assert task is not None
        await asyncio.sleep(0.2)  # nothing of it comes later
        return task.cancelling()

    assert asyncio.run(asyncio.wait_for(run(), 20)) == 0


def test_what_ends_in_time_is_left_alone() -> None:
    async def run() -> str:
        async with Within(0.05):
            await asyncio.sleep(0)
        await asyncio.sleep(0.2)
        return "on"

    assert asyncio.run(run()) == "on"


def test_an_error_from_inside_is_that_error() -> None:
    async def run() -> None:
        async with Within(5):
            raise KeyError("x")

    with pytest.raises(KeyError):
        asyncio.run(run())


def test_who_cancels_from_outside_cancels() -> None:
    async def run() -> None:
        async def inside() -> None:
            async with Within(5):
                await asyncio.sleep(30)

        task = asyncio.create_task(inside())
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())


def test_a_cancellation_from_outside_is_not_taken_for_the_bound() -> None:
    async def run() -> None:
        async def inside() -> None:
            async with Within(0.01):
                await deaf(1)  # the bound passes first and is swallowed

        task = asyncio.create_task(inside())
        await asyncio.sleep(0.05)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())
