"""What becomes of every field that stands in a file: mapped, noted, or refused by name."""

from dataclasses import dataclass, field
from typing import Literal

from training.easyrec.text import Field, Message

Verdict = Literal["mapped", "noted", "refused"]


@dataclass(frozen=True)
class Entry:
    """The verdict on one field; that on a message speaks for all it holds.

    `place` is the path of the field, without numbers for what is repeated, `got` its value. `says`
    is where a mapped one went, what happens with a noted one, the remedy for a refused one.
    """

    place: str
    line: int
    got: str
    verdict: Verdict
    says: str

    def __str__(self) -> str:
        got = f": got {self.got}" if self.got else ""
        return f"line {self.line}, {self.place}{got}; {self.says}"


@dataclass
class Ledger:
    """The verdicts, by field. A field that is read twice keeps its first, unless it is refused."""

    entries: dict[Field, Entry] = field(default_factory=dict)

    def enter(self, place: str, one: Field, verdict: Verdict, says: str) -> None:
        """Give a field its verdict."""
        old = self.entries.get(one)
        if old is None or (verdict == "refused" and old.verdict != "refused"):
            self.entries[one] = Entry(place, one.line, _shown(one), verdict, says)

    def of(self, verdict: Verdict) -> list[Entry]:
        """Return the entries of one verdict, in the order of the file."""
        return sorted(
            (e for e in self.entries.values() if e.verdict == verdict), key=lambda e: e.line
        )


def _shown(one: Field) -> str:
    return "" if isinstance(one.value, Message) else f"{one.value!r:.60}"
