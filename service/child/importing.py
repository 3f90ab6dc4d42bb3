"""What a process imports or sets up stays, so its garbage collector need not look at it."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Have the collector leave alone what is imported meanwhile, now and later.

    Else it looks through all modules again and again while they grow: a sixth of the time that the
    imports of a service take, and as much again at each full collection after them.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def settle() -> None:
    """Have the collector leave alone what there is by now, but for what is garbage already.

    Called once a process is set up and before it serves: a full collection meanwhile would look
    through all of its application in the middle of requests.
    """
    gc.collect()
    gc.freeze()
