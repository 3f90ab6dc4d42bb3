"""What may be wrong with what the rooms hand each other.

ContractError
├─ ConfigError      the YAML of a run: key, what came, what would be right
├─ DataError        a table: file, column, row, what came, what would be right
├─ RecordError      one raw user or item: feature, what came, what would be right
├─ SchemaError      schema.json, or arrays that do not fit it
└─ BundleError      a bundle or run folder: member, what is wrong with it
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MOST_TOLD = 20
"""Faults of one record that are told; or a body of some bytes would be answered with many more."""

MOST_SHOWN = 80
"""Characters of a value, or a name, that are told."""


class ContractError(Exception):
    """Something handed over does not keep the contract; the message says how to mend it."""


class ConfigError(ContractError):
    """A configuration cannot be used."""


class DataError(ContractError):
    """A data table cannot be used."""


class SchemaError(ContractError):
    """A schema, or arrays held against it, cannot be used."""


class BundleError(ContractError):
    """A run or bundle folder cannot be used."""


@dataclass(frozen=True)
class Fault:
    """One value that cannot be used."""

    feature: str
    got: str
    expected: str

    @classmethod
    def of(cls, feature: str, value: object, expected: str) -> "Fault":
        """Describe a value, which is cut, as a feature's name is."""
        return cls(_cut(feature), shown(value), expected)

    def __str__(self) -> str:
        return f"feature {self.feature!r}: got {self.got}, expected {self.expected}"


class RecordError(ContractError):
    """One or more values of a raw record cannot be used; the first `MOST_TOLD` are named."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults[:MOST_TOLD])
        super().__init__("; ".join(map(str, self.faults)))


def shown(value: object) -> str:
    """Return a value as Python writes it, cut; what is cut off is never written out.

    However large or deep a value is, this costs no more than what is shown of it.
    """
    text = ""
    for piece in _pieces(value):
        text += piece
        if len(text) > MOST_SHOWN:
            break
    return _cut(text)


def _pieces(value: object) -> Iterator[str]:
    """Give a value of JSON in parts; others are written by themselves."""
    if isinstance(value, str):
        yield repr(value[: MOST_SHOWN + 1])
    elif type(value) is list:
        for place, one in enumerate(value):
            yield ", " if place else "["
            yield from _pieces(one)
        yield "]" if value else "[]"
    elif type(value) is dict:
        for place, (name, one) in enumerate(value.items()):
            yield ", " if place else "{"
            yield from _pieces(name)
            yield ": "
            yield from _pieces(one)
        yield "}" if value else "{}"
    else:
        yield repr(value)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 3] + "..."
