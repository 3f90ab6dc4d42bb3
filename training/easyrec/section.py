"""One message of a file, read by field name; what is read is entered in the ledger."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from training.easyrec.ledger import Ledger
from training.easyrec.text import Field, Message, Word

T = TypeVar("T")
TRUE, FALSE = {"true", "True", "t", "1"}, {"false", "False", "f", "0"}


@dataclass
class Section:
    """A message, its place in the file, and the ledger. `type` is its name in EasyRec's schema.

    `is_settled` says that the verdict on the message speaks for all that it holds, `asked` the
    names of the fields that were asked for, there or not.

    What is read is mapped: `to` says where it goes. A value of another sort than the field's is
    refused, and the default stands in for it, so that one reading finds all that is wrong.
    """

    message: Message
    type: str
    place: str
    ledger: Ledger
    own: Field | None = None
    opened: dict[Field, "Section"] = field(default_factory=dict)
    is_settled: bool = False
    asked: set[str] = field(default_factory=set)

    def has(self, name: str) -> bool:
        """Whether a field stands there."""
        return bool(self._fields(name))

    def text(self, name: str, to: str, default: str = "") -> str:
        """Read a text, or the name of an enum's value."""
        return self._one(name, to, default, _text)

    def texts(self, name: str, to: str) -> list[str]:
        """Read a repeated text."""
        return [v for one in self._fields(name) if (v := self._read(one, to, _text)) is not None]

    def whole(self, name: str, to: str, default: int = 0) -> int:
        """Read a whole number of at least 0."""
        return self._one(name, to, default, _whole)

    def wholes(self, name: str, to: str) -> list[int]:
        """Read a repeated whole number."""
        return [v for one in self._fields(name) if (v := self._read(one, to, _whole)) is not None]

    def number(self, name: str, to: str, default: float = 0.0) -> float:
        """Read a number."""
        return self._one(name, to, default, _number)

    def numbers(self, name: str, to: str) -> list[float]:
        """Read a repeated number."""
        return [v for one in self._fields(name) if (v := self._read(one, to, _number)) is not None]

    def flag(self, name: str, to: str, default: bool = False) -> bool:
        """Read true or false."""
        return self._one(name, to, default, _flag)

    def one_of(
        self, name: str, to: str, default: str, known: Collection[str], remedy: str | None = None
    ) -> str:
        """Read a text that is one of those known; another is refused, and the default taken."""
        found = self.text(name, to, default)
        if found in known:
            return found
        self.refuse(name, remedy or f"expected {' or '.join(known)}")
        return default

    def known(self, name: str, told: Mapping[str, str], otherwise: str) -> str | None:
        """Return a value that there is here, mapped to what is told of it; others are noted."""
        found = None
        for one in self._fields(name):
            value = str(one.value)
            if value in told:
                found = value
                self.ledger.enter(self._place(name), one, "mapped", told[value])
            else:
                self.ledger.enter(self._place(name), one, "noted", otherwise)
        return found

    def section(self, name: str, type_: str) -> "Section | None":
        """Open a message; None where there is none."""
        found = self.sections(name, type_)
        for repeated in found[1:]:
            repeated.refuse_all("it stands twice; expected one")
        return found[0] if found else None

    def sections(self, name: str, type_: str) -> list["Section"]:
        """Open a repeated message."""
        found = []
        for one in self._fields(name):
            if not isinstance(one.value, Message):
                self.ledger.enter(self._place(name), one, "refused", "expected { ... }")
                continue
            if one not in self.opened:
                place = self._place(name)
                self.opened[one] = Section(one.value, type_, place, self.ledger, one)
            found.append(self.opened[one])
        return found

    def map(self, name: str, to: str) -> None:
        """Say where a field goes whose standing there says all."""
        for one in self._fields(name):
            self.ledger.enter(self._place(name), one, "mapped", to)

    def note(self, name: str, why: str) -> None:
        """Say what happens with a field that goes nowhere; a message that was opened went."""
        for one in self._fields(name):
            if one not in self.opened:
                self.ledger.enter(self._place(name), one, "noted", why)

    def refuse(self, name: str, remedy: str, value: object = None) -> None:
        """Refuse a field, or those of its values that are `value`, with what to do about it."""
        for one in self._fields(name):
            if value not in (None, one.value):
                continue
            self.ledger.enter(self._place(name), one, "refused", remedy)

    def refuse_all(self, remedy: str) -> None:
        """Refuse the message as a whole."""
        self.is_settled = True
        self._refuse(remedy)

    def note_all(self, why: str) -> None:
        """Say what happens with a message that goes nowhere."""
        for one in self.message.fields:
            self.ledger.entries.pop(one, None)
        self.is_settled = True
        if self.own is not None:
            self.ledger.enter(self.place, self.own, "noted", why)

    def note_others(self, name: str, why: str) -> None:
        """Say what happens with all but the first of a repeated field."""
        for one in self._fields(name)[1:]:
            self.ledger.entries.pop(one, None)
            self.ledger.enter(self._place(name), one, "noted", why)

    def lacks(self, name: str, remedy: str) -> None:
        """Refuse the message for a field that it needs and lacks; the others keep theirs."""
        self._refuse(f"no {name}: {remedy}")

    def _refuse(self, remedy: str) -> None:
        if self.own is not None:
            self.ledger.enter(self.place, self.own, "refused", remedy)

    def _fields(self, name: str) -> list[Field]:
        self.asked.add(name)
        return [one for one in self.message.fields if one.name == name]

    def _one(self, name: str, to: str, default: T, read: Callable[[Any], T]) -> T:
        fields = self._fields(name)
        for repeated in fields[1:]:
            self.ledger.enter(self._place(name), repeated, "refused", "it stands twice")
        found = self._read(fields[0], to, read) if fields else None
        return default if found is None else found

    def _read(self, one: Field, to: str, read: Callable[[Any], T]) -> T | None:
        try:
            found = read(one.value)
        except ValueError as error:
            self.ledger.enter(self._place(one.name), one, "refused", f"expected {error}")
            return None
        self.ledger.enter(self._place(one.name), one, "mapped", to)
        return found

    def _place(self, name: str) -> str:
        return f"{self.place}.{name}" if self.place else name


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a text")
    return str(value)


def _whole(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError("a whole number of at least 0")
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or value != value or abs(value) == float("inf"):
        raise ValueError("a finite number")
    return value


def _flag(value: object) -> bool:
    text = str(value)
    if isinstance(value, Word | int) and text in TRUE | FALSE:
        return text in TRUE
    raise ValueError("true or false")
