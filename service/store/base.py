"""What a store answers with, and the one way in which it fails."""

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

from export.embedder import Vectors
from service.records import ItemRecord, Unreadable


class StoreUnavailable(Exception):
    """The store did not answer, or not in time; a write may have happened or not."""


class Kept(Exception):
    """A conditional write was not made: the user was written later, or erased, at that moment."""

    def __init__(self, reason: Literal["newer", "erased"], at_s: float) -> None:
        super().__init__(f"{reason}, {at_s}")
        self.reason = reason
        self.at_s = at_s


class Contended(Exception):
    """Others kept writing the same record while a change of it was tried."""


class LogId(NamedTuple):
    """A place in the item log, `milliseconds-number`; later places are greater."""

    ms: int
    number: int

    @classmethod
    def parse(cls, text: str) -> "LogId":
        """Read a log id.

        Raises:
            ValueError: It is none.

        """
        if not re.fullmatch(r"[0-9]{1,20}-[0-9]{1,20}", text):
            raise ValueError(f"log id: got {text!r:.50}, expected one like '1732000000000-0'")
        ms, _, number = text.partition("-")
        return cls(int(ms), int(number))

    def __str__(self) -> str:
        return f"{self.ms}-{self.number}"


LOG_START = LogId(0, 0)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the log of one epoch; the epoch is None where no log was ever written."""

    epoch: bytes | None
    cursor: LogId


@dataclass(frozen=True, slots=True)
class LogState:
    """The log as it is: its epoch (None: never written), first entry and last id given.

    lacks: a place before the end that was asked about, and at which there is no entry.
    """

    epoch: bytes | None
    first: LogId | None
    last: LogId
    lacks: LogId | None = None

    @property
    def end(self) -> Position:
        """The place of the last entry."""
        return Position(self.epoch, self.last)

    def continues(self, position: Position) -> bool:
        """Say whether all that came after a place is still in the log it was read from.

        A log that lost its end and was written to again goes on after the place without the entry
        there; that is known of a place that was asked about.
        """
        cursor = position.cursor
        if position.epoch != self.epoch or cursor > self.last or cursor == self.lacks:
            return False
        return cursor == self.last or (self.first is not None and self.first <= cursor)


@dataclass(frozen=True, slots=True)
class Behind:
    """What comes after a place in the log, by the clock of Redis.

    entries: how many entries, or at least how many; oldest: the first of them; now_ms: when that
    was, since 1970.
    """

    entries: int
    oldest: LogId | None
    now_ms: int
    is_least: bool = False
    """Whether counting stopped there and there may be more."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the item log: which item changed, and to which rev."""

    at: LogId
    id: str
    rev: int


@dataclass(frozen=True, slots=True)
class Poison:
    """An entry of the item log that cannot be read, and why."""

    at: LogId
    reason: str


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item's record, or why it is none; and its vector, if one of that rev is kept."""

    record: ItemRecord | Unreadable | None
    vector: Vectors | None


@dataclass(frozen=True, slots=True)
class Written:
    """An acknowledged write: its rev, its place in the log, and what was there before."""

    rev: int
    log_id: LogId
    before: Literal["nothing", "put", "delete"]
    fault: str | None = None
    """Why it is not as durable as asked for; None: it is."""


@dataclass(frozen=True, slots=True)
class Newer:
    """A write that did not happen: the item is of this rev by now, and not what it was based on."""

    rev: int
