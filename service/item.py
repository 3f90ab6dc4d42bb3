"""An item as it is served, and what becomes of one that a client writes."""

from dataclasses import dataclass

from export.contract.errors import RecordError
from export.contract.side import Record
from export.embedder import Vectors
from service.errors import Problem
from service.records import State
from service.store import StoreUnavailable


class DeltaFull(Exception):
    """More was posted than can be searched quickly until an index takes it in."""


@dataclass(frozen=True, slots=True)
class Item:
    """An item as it is served."""

    id: str
    record: Record
    state: State
    dropped: list[str]
    version: str
    vector: Vectors


@dataclass(frozen=True, slots=True)
class Posted(Item):
    """An item that was written to the store and can be found here."""

    created: bool
    """Whether it is new; else it replaced one."""
    rev: int
    log_id: str
    not_durable: str | None = None
    """Why it is not as durable as writes are to be; None: it is."""
    searchable: bool = True
    """Whether every version that is served here has it; one may have no vector for it."""


Outcome = Posted | RecordError | StoreUnavailable | DeltaFull | Problem
