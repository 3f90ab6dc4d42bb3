"""Work on parts that are each on their own, by as many threads as there are cores."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

P = TypeVar("P")
R = TypeVar("R")

MOST = 8
"""More have little to gain from each other: what is between them is done by one."""
THREADS = min(len(os.sched_getaffinity(0)), MOST)


def in_threads(work: Callable[[P], R], parts: Iterable[P]) -> Iterator[R]:
    """Yield what is made of each part, in their order, while the next are worked on.

    Sorting, searching and copying of numpy let go of the interpreter. Parts are taken as they are
    needed, at most THREADS + 1 ahead. What `work` raises is raised in the place of its part; parts
    after it are let go.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        ahead: deque[Future[R]] = deque()
        try:
            for part in parts:
                ahead.append(pool.submit(work, part))
                if len(ahead) > THREADS:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for one in ahead:
                one.cancel()
