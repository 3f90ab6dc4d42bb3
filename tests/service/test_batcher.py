import asyncio
import socket
from collections.abc import Sequence

import pytest
import uvloop

from service.batcher import Batcher


class Doubler:
    """Doubles numbers, keeps the batches it was given, and waits where it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, batch: Sequence[int]) -> list[int]:
        self.batches.append(list(batch))
        await self.gate.wait()
        if 13 in batch:
            raise ValueError("thirteen")
        return [2 * number for number in batch]


async def ticks(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_single_request_is_a_batch_of_one() -> None:
    async def scene() -> None:
        work = Doubler()
        assert await Batcher(work, limit=lambda: 4).ask(21) == 42
        assert work.batches == [[21]]

    asyncio.run(scene())


def test_what_comes_while_a_batch_runs_forms_the_next_ones() -> None:
    async def scene() -> None:
        work = Doubler()
        work.gate.clear()
        batcher = Batcher(work, limit=lambda: 4)
        asked = [asyncio.create_task(batcher.ask(number)) for number in range(8)]
        await ticks()
        assert work.batches == [[0]]
        work.gate.set()
        assert await asyncio.gather(*asked) == [2 * number for number in range(8)]
        assert work.batches == [[0], [1, 2, 3, 4], [5, 6, 7]]
        assert await batcher.ask(5) == 10
        assert work.batches[-1] == [5]

    asyncio.run(scene())


def test_a_batch_that_is_broken_off_leaves_nobody_waiting_and_the_next_is_run() -> None:
    async def scene() -> None:
        work = Doubler()
        work.gate.clear()
        batcher = Batcher(work, limit=lambda: 4)
        first, second = (asyncio.create_task(batcher.ask(number)) for number in (1, 2))
        await ticks()
        work.gate.set()
        assert await first == 2
        work.gate.clear()
        await ticks(20)
        assert work.batches == [[1], [2]]
        assert batcher._task is not None
        batcher._task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(second, 5)
        work.gate.set()
        assert await asyncio.wait_for(batcher.ask(3), 5) == 6

    asyncio.run(scene())


@pytest.mark.parametrize("position", range(5))
def test_a_request_that_fails_takes_nobody_along(position: int) -> None:
    async def scene() -> None:
        work = Doubler()
        batcher = Batcher(work, limit=lambda: 10)
        numbers = [1, 2, 3, 4]
        numbers.insert(position, 13)
        answers = await asyncio.gather(*map(batcher.ask, numbers), return_exceptions=True)
        assert isinstance(answers[position], ValueError)
        del answers[position]
        assert answers == [2, 4, 6, 8]
        assert await batcher.ask(5) == 10

    asyncio.run(scene())


def test_what_is_asked_together_runs_in_full_batches_and_each_has_its_own_answer() -> None:
    async def scene() -> None:
        work = Doubler()
        batcher = Batcher(work, limit=lambda: 4)
        answers = await batcher.ask_all([1, 2, 13, 3, 4, 5])
        assert isinstance(answers.pop(2), ValueError)
        assert answers == [2, 4, 6, 8, 10]
        assert work.batches == [[1, 2, 13, 3], [1], [2], [13], [3], [4, 5]]
        assert await batcher.ask_all([]) == []
        assert await batcher.ask(5) == 10

    asyncio.run(scene())


def test_what_is_asked_alone_has_its_turn_between_the_batches_of_many() -> None:
    async def scene() -> None:
        work = Doubler()
        work.gate.clear()
        batcher = Batcher(work, limit=lambda: 4)
        many = asyncio.create_task(batcher.ask_all(range(12)))
        await ticks()
        alone = asyncio.create_task(batcher.ask(99))
        await ticks()
        work.gate.set()
        assert await alone == 198
        assert not many.done()
        assert await many == [2 * number for number in range(12)]
        assert work.batches[:2] == [[0, 1, 2, 3], [99, 4, 5, 6]]

    asyncio.run(scene())


def test_many_who_leave_hold_nobody_up() -> None:
    async def scene() -> None:
        work = Doubler()
        work.gate.clear()
        batcher = Batcher(work, limit=lambda: 2)
        many = asyncio.create_task(batcher.ask_all(range(6)))
        await ticks()
        many.cancel()
        await asyncio.gather(many, return_exceptions=True)
        work.gate.set()
        assert await batcher.ask(5) == 10
        assert len(work.batches) <= 2

    asyncio.run(scene())


@pytest.mark.parametrize("leaver", range(4))
def test_a_client_that_leaves_holds_nobody_up(leaver: int) -> None:
    async def scene() -> None:
        work = Doubler()
        work.gate.clear()
        batcher = Batcher(work, limit=lambda: 10)
        asked = [asyncio.create_task(batcher.ask(number)) for number in range(4)]
        await ticks()
        asked[leaver].cancel()
        await ticks()
        work.gate.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(answers.pop(leaver), asyncio.CancelledError)
        assert answers == [2 * number for number in range(4) if number != leaver]
        assert await batcher.ask(5) == 10

    asyncio.run(scene())


def test_nobody_waits_for_ever_when_all_who_waited_have_left() -> None:
    async def scene() -> None:
        work = Doubler()
        work.gate.clear()
        batcher = Batcher(work, limit=lambda: 10)
        asked = [asyncio.create_task(batcher.ask(number)) for number in range(3)]
        await ticks()
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        work.gate.set()
        await ticks()
        assert await asyncio.wait_for(batcher.ask(5), 1) == 10

    asyncio.run(scene())


def test_what_the_network_brings_during_a_batch_has_its_turn_before_the_next_batch() -> None:
    async def scene() -> None:
        loop, (ours, theirs) = asyncio.get_running_loop(), socket.socketpair()
        happened: list[object] = []
        tasks = []

        async def answer() -> None:
            happened.append(ours.recv(1))

        async def work(batch: Sequence[int]) -> list[int]:
            happened.append(list(batch))
            if batch[0] == 0:
                theirs.send(b"?")  # while the batch keeps the event loop
            return list(batch)

        loop.add_reader(ours, lambda: tasks.append(loop.create_task(answer())))
        batcher = Batcher(work, limit=lambda: 1)
        await asyncio.gather(*(batcher.ask_all([number]) for number in range(3)))
        assert happened == [[0], b"?", [1], [2]]
        loop.remove_reader(ours)
        ours.close()
        theirs.close()

    uvloop.run(scene())  # the loop that the service runs on
