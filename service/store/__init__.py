"""Stores: where items and users outlive the process. There is one kind, Redis."""

from service.store.base import (
    LOG_START,
    Behind,
    Contended,
    Entry,
    Kept,
    LogId,
    LogState,
    Newer,
    Poison,
    Position,
    StoredItem,
    StoreUnavailable,
    Written,
)
from service.store.durability import WriteAck
from service.store.link import Link
from service.store.redis import Store

__all__ = [
    "LOG_START",
    "Behind",
    "Contended",
    "Entry",
    "Kept",
    "Link",
    "LogId",
    "LogState",
    "Newer",
    "Poison",
    "Position",
    "Store",
    "StoreUnavailable",
    "StoredItem",
    "WriteAck",
    "Written",
]
