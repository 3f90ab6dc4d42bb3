"""Marks: which stage of a recall a worker's thread is in, and the CPU that each stage takes."""

import functools
import inspect
import time
import types
from collections import Counter
from collections.abc import Callable, Coroutine, Generator
from typing import Any

LOOP = "event loop"
"""What is in no marked function: the loop itself, and what it calls."""


class Marks:
    """The CPU of one thread by stage; a stage has what is in it less the stages that it calls.

    `ns` are nanoseconds and `calls` how often each was begun. A mark takes about a microsecond,
    which the stages around it have to bear.
    """

    def __init__(self) -> None:
        self.ns = Counter[str]()
        self.calls = Counter[str]()
        self._stage, self._since_ns = LOOP, time.thread_time_ns()

    def _switch(self, stage: str) -> str:
        """Go on in another stage; return the one before."""
        now_ns, before = time.thread_time_ns(), self._stage
        self.ns[before] += now_ns - self._since_ns
        self._stage, self._since_ns = stage, now_ns
        return before

    def put(self, owner: Any, name: str, stage: str) -> None:
        """Mark a function or method, plain or async, in its module or class.

        The wrapper has the same parameters by name: servers and frameworks look at them.
        """
        self.ns[stage] += 0  # so that stages stand in the order in which they were named
        function = getattr(owner, name)
        is_async = inspect.iscoroutinefunction(function)
        wrapped = (self._wrap_async if is_async else self._wrap)(function, stage)
        wrapped.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
        setattr(owner, name, wrapped)

    def _wrap(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def marked(*args: Any, **named: Any) -> Any:
            self.calls[stage] += 1
            before = self._switch(stage)
            try:
                return function(*args, **named)
            finally:
                self._switch(before)

        return marked

    def _wrap_async(
        self, function: Callable[..., Coroutine[Any, Any, Any]], stage: str
    ) -> Callable[..., Any]:
        @functools.wraps(function)
        async def marked(*args: Any, **named: Any) -> Any:
            self.calls[stage] += 1
            return await self._steps(function(*args, **named), stage)

        return marked

    @types.coroutine
    def _steps(self, work: Coroutine[Any, Any, Any], stage: str) -> Generator[Any, Any, Any]:
        """Run a coroutine; the stage is left where it waits, and entered where it goes on."""
        step: Callable[[], Any] = functools.partial(work.send, None)
        while True:
            before = self._switch(stage)
            try:
                awaited = step()
            except StopIteration as end:
                return end.value
            finally:
                self._switch(before)
            try:
                step = functools.partial(work.send, (yield awaited))
            except BaseException as error:  # a cancellation too: it is the coroutine's to handle
                step = functools.partial(work.throw, error)
