"""Stores: where items and users outlive the process. There is one kind, Redis."""

from service.store.base import (
    LOG_START,
    Contended,
    Entry,
    Kept,
    LogId,
    LogState,
    Newer,
    Poison,
    StoredItem,
    StoreUnavailable,
    Written,
)
from service.store.redis import Store

__all__ = [
    "LOG_START",
    "Contended",
    "Entry",
    "Kept",
    "LogId",
    "LogState",
    "Newer",
    "Poison",
    "Store",
    "StoreUnavailable",
    "StoredItem",
    "Written",
]
