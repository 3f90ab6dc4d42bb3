"""What the traffic noted, read again: recalls, and of each item the writes in their order."""

import json
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.rollout.traffic import place

Noted = dict[str, Any]


@dataclass(frozen=True)
class Write:
    """A write of an item, or its state in the bundle; times in s.

    edition: of the record that was put; None: it was removed.
    came: when it was acknowledged; infinity: it never was, so it may have been made or not.
    """

    edition: int | None
    sent: float = -math.inf
    came: float = -math.inf
    log_id: str | None = None


FROM_BUNDLE = Write(0)


@dataclass
class Notes:
    """All notes of one run: recalls of stored users, writes of items, whatever else was asked."""

    recalls: list[Noted] = field(default_factory=list)
    writes: list[Noted] = field(default_factory=list)
    others: list[Noted] = field(default_factory=list)
    histories: dict[str, list[Write]] = field(default_factory=dict)

    @classmethod
    def read(cls, *paths: Path) -> "Notes":
        """Read notes, in the order in which they were taken."""
        notes = cls()
        for noted in _lines(*paths):
            kinds = {"recall": notes.recalls, "write": notes.writes}
            kinds.get(noted["is"], notes.others).append(noted)
        histories: dict[str, list[Write]] = defaultdict(list)
        for noted in sorted(notes.writes, key=lambda one: float(one["sent"])):
            one = noted["id"]
            if one not in histories and not one.startswith("new-"):
                histories[one].append(FROM_BUNDLE)
            came = math.inf if noted["log_id"] is None else noted["came"]
            histories[one].append(Write(noted["edition"], noted["sent"], came, noted["log_id"]))
        notes.histories = dict(histories)
        return notes

    def keep_since(self, moment: float) -> None:
        """Drop what was due before a moment; histories stay whole."""
        for kind in (self.recalls, self.writes, self.others):
            kind[:] = [one for one in kind if one["due"] >= moment]

    @property
    def all(self) -> list[Noted]:
        """All of them."""
        return self.recalls + self.writes + self.others

    def history(self, one: str) -> list[Write]:
        """Return what an item was, in order; one that nobody wrote is as the bundle has it."""
        return self.histories.get(one, [] if one.startswith("new-") else [FROM_BUNDLE])


def superseded_at(history: list[Write], at: int, after: str | None) -> float:
    """Return since when a state may no longer be served: s, infinity while it may be.

    That is since a later write was acknowledged. To an answer that waited for a log entry (`after`)
    the writes up to that one are of the beginning.
    """
    since = math.inf
    for later in history[at + 1 :]:
        is_named = after is not None and later.log_id is not None
        if is_named and place(later.log_id or "") <= place(after or ""):
            return -math.inf
        since = min(since, later.came)
    return since


def _lines(*paths: Path) -> Iterator[Noted]:
    for path in paths:
        with path.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)
