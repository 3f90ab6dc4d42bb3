"""What may be wrong with what the rooms hand each other.

ContractError
├─ ConfigError      the YAML of a run: key, what came, what would be right
├─ DataError        a table: file, column, row, what came, what would be right
├─ RecordError      one raw user or item: feature, what came, what would be right
├─ SchemaError      schema.json, or arrays that do not fit it
└─ BundleError      a bundle or run folder: member, what is wrong with it
"""


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


class RecordError(ContractError):
    """One value of a raw record cannot be used."""

    def __init__(self, feature: str, got: object, expected: str) -> None:
        self.feature = feature
        self.got = repr(got) if len(repr(got)) <= 80 else repr(got)[:77] + "..."
        self.expected = expected
        super().__init__(f"feature {feature!r}: got {self.got}, expected {expected}")
