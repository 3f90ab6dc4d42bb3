"""Concurrent requests become one batch."""

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


class Batcher(Generic[Asked, Answered]):
    """Runs one batch at a time; what is asked while it runs forms the next one.

    Nobody waits for company: an idle batcher runs what comes at once, by itself, in the task that
    asked.

    work: a batch -> its answers in order. A batch that fails is run again one by one, so that
    what fails by itself takes nobody along.
    limit: tells the largest batch, each time one is formed.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Asked]], Awaitable[Sequence[Answered]]],
        limit: Callable[[], int],
    ) -> None:
        self._work = work
        self._limit = limit
        self._waiting: list[tuple[Asked, asyncio.Future[Answered]]] = []
        self._runs = False
        self._task: asyncio.Task[None] | None = None

    async def ask(self, asked: Asked) -> Answered:
        """Return the answer; raises what the work raises for it."""
        if self._runs:
            answer: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
            self._waiting.append((asked, answer))
            return await answer
        self._runs = True
        try:
            return (await self._work([asked]))[0]
        finally:
            self._go_on()

    async def ask_all(self, asked: Sequence[Asked]) -> list[Answered | BaseException]:
        """Return the answers in order, and in place of an answer what the work raised for it.

        As many as make a batch are asked at a time, so that others have their turn in between.
        """
        answers: list[Answered | BaseException] = []
        while len(answers) < len(asked):
            part = asked[len(answers) : len(answers) + self._limit()]
            loop = asyncio.get_running_loop()
            futures: list[asyncio.Future[Answered]] = [loop.create_future() for _ in part]
            self._waiting += zip(part, futures, strict=True)
            if not self._runs:
                self._runs = True
                self._go_on()
            answers += await asyncio.gather(*futures, return_exceptions=True)
        return answers

    def _go_on(self) -> None:
        """Run those who came meanwhile in a task of their own; no client's leaving ends it."""
        if self._waiting:
            nobodys = contextvars.Context()  # nor does it log, or trace, as the request it follows
            self._task = asyncio.get_running_loop().create_task(self._run(), context=nobodys)
        else:
            self._runs = False

    async def _run(self) -> None:
        try:
            while self._waiting:
                await _let_others()
                limit = self._limit()
                batch, self._waiting = self._waiting[:limit], self._waiting[limit:]
                batch = [pair for pair in batch if not pair[1].done()]  # who left is not answered
                await self._answer(batch)
        finally:
            self._runs = False

    async def _answer(self, batch: list[tuple[Asked, asyncio.Future[Answered]]]) -> None:
        if not batch:
            return
        try:
            answers = await self._work([asked for asked, _ in batch])
        except Exception as error:
            await self._answer_apart(batch, error)
            return
        except BaseException:  # the loop is ending, or this task: nobody waits for ever
            for _, future in batch:
                future.cancel()
            raise
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    async def _answer_apart(
        self, batch: list[tuple[Asked, asyncio.Future[Answered]]], error: Exception
    ) -> None:
        if len(batch) == 1:
            future = batch[0][1]
            if not future.done():
                future.set_exception(error)
            return
        logger.warning("batch failed, run one by one", extra={"size": len(batch)})
        for pair in batch:
            await self._answer([pair])


async def _let_others() -> None:
    """Let go of the event loop until what came from the network meanwhile had its first turn.

    One turn would not do: it reads what has come, and the tasks made of that stand behind us. With
    one a probe or a refusal waits for what is left of a batch and for the whole next one.
    """
    for _ in range(2):
        await asyncio.sleep(0)
