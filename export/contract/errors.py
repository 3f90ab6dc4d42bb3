"""What may be wrong with what the rooms hand each other.

ContractError
├─ ConfigError      the YAML of a run: key, what came, what would be right
├─ DataError        a table: file, column, row, what came, what would be right
├─ RecordError      one raw user or item: feature, what came, what would be right
├─ SchemaError      schema.json, or arrays that do not fit it
└─ BundleError      a bundle or run folder: member, what is wrong with it
"""

from collections.abc import Sequence
from dataclasses import dataclass


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
        """Describe a value, cut to 80 characters."""
        got = repr(value)
        return cls(feature, got if len(got) <= 80 else got[:77] + "...", expected)

    def __str__(self) -> str:
        return f"feature {self.feature!r}: got {self.got}, expected {self.expected}"


class RecordError(ContractError):
    """One or more values of a raw record cannot be used."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(map(str, faults)))
