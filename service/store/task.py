"""The end of a task that talks to Redis."""

import asyncio
from typing import Any

AGAIN_S = 0.1


async def end(task: "asyncio.Task[Any] | None") -> None:
    """Cancel a task until it has ended; what it raises is its own affair.

    More than once, since `wait_for` of Python 3.11, which redis-py uses, can swallow a
    cancellation: a loop that was cancelled in just that moment would go on for good.
    """
    while task is not None and not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=AGAIN_S)
