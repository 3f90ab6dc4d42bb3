"""What a process imports stays, so its garbage collector need not look at it."""

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
