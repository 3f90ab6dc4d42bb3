"""A bound in time for a call to Redis that a swallowed cancellation does not lift."""

import asyncio
from types import TracebackType
from typing import Self

AGAIN_S = 0.1


class Within:
    """Cancels what is inside it after so long, again and again, and raises TimeoutError.

    `asyncio.timeout` cancels once. `wait_for` of Python 3.11, through which redis-py writes to
    its socket, swallows a cancellation that comes as the write ends; the reply would then be
    waited for as long as the connection's own timeout.

    Raises:
        TimeoutError: The time passed, and nobody else cancelled the task.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._fired = 0

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        self._task = task
        self._others = task.cancelling()
        self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._fire)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        left = self._task.cancelling()
        for _ in range(self._fired):
            left = self._task.uncancel()
        if self._fired and left <= self._others and isinstance(error, asyncio.CancelledError):
            raise TimeoutError(f"no reply within {self._timeout_s} s") from error

    def _fire(self) -> None:
        self._fired += 1
        self._task.cancel()
        self._timer = asyncio.get_running_loop().call_later(AGAIN_S, self._fire)
