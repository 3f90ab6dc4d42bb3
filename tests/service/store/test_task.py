import asyncio

from service.store.task import end


async def deaf(heard: list[int], most: int) -> None:
    """Swallow so many cancellations."""
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            heard.append(1)
            if len(heard) > most:
                raise


def test_a_task_that_swallows_cancellations_ends_all_the_same() -> None:
    async def main() -> None:
        heard: list[int] = []
        task = asyncio.create_task(deaf(heard, most=2))
        await asyncio.sleep(0)
        await end(task)
        assert task.cancelled()
        assert len(heard) == 3

    asyncio.run(main())


def test_what_has_ended_or_never_began_is_left_alone() -> None:
    async def main() -> None:
        async def failing() -> None:
            raise ValueError

        task = asyncio.create_task(failing())
        await asyncio.wait([task])
        await end(task)
        await end(None)
        assert isinstance(task.exception(), ValueError)

    asyncio.run(main())
