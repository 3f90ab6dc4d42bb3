"""Gives back to the system what a load has freed, before workers share what is left."""

import ctypes
from collections.abc import Callable

import pyarrow as pa


def give_back(library: ctypes.CDLL | None = None) -> None:
    """Give freed memory back, that of Arrow's pool and of glibc; elsewhere that of the pool alone.

    Each keeps what was freed for those who ask next; after a load nobody does.
    """
    pa.default_memory_pool().release_unused()
    library = library or ctypes.CDLL(None)
    trim: Callable[[int], int] | None = getattr(library, "malloc_trim", None)
    if trim is not None:
        trim(0)
