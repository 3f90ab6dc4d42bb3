"""The schema: the features of both sides in their groups, in order; records to raw arrays."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, field_validator, model_validator

from export.contract.errors import Fault, RecordError, SchemaError
from export.contract.features import (
    FIRST_WORD_ROW,
    KINDS,
    MISSING_TOKEN,
    PADDING_TOKEN,
    Feature,
    FeatureKind,
    Input,
    Mismatch,
    Raw,
)
from export.contract.similarity import Similarity, extra_dims
from export.contract.strict import Strict

SideName = Literal["user", "item"]
SIDES: tuple[SideName, ...] = ("user", "item")
Group = Literal["content", "context", "preference"]
Record = Mapping[str, Raw]
Arrays = dict[str, NDArray[Any]]

NAME = re.compile(r"\w[\w-]{0,63}")
TAKEN_NAMES = frozenset(
    {"id", "item", "item_id", "items", "user", "user_id", "users"}
    | {"content", "context", "preference", "preference_as_of", "popularity", "first_seen"}
    | {"label", "order", "split", "timestamp", "weight", "history"}
    | {"ids", "numbers", "present", "strings", "values", "vector"}
)
"""Names with a meaning of their own in requests, tables or tower files."""


class Side(Strict):
    """The features of one side by group. `present` speaks for the preference group."""

    content: dict[str, Feature] = {}
    context: dict[str, Feature] = {}
    preference: dict[str, Feature] = {}

    @field_validator("content", "context", "preference")
    @classmethod
    def _names_are_free(cls, group: dict[str, Feature]) -> dict[str, Feature]:
        for name in group:
            if not NAME.fullmatch(name):
                raise ValueError(f"feature name {name!r}: expected letters, digits, '_' and '-'")
            if name in TAKEN_NAMES:
                raise ValueError(f"feature name {name!r} is taken; rename the column")
        return group

    @model_validator(mode="after")
    def _groups_fit(self) -> "Side":
        seen: set[str] = set()
        for group in (self.content, self.context, self.preference):
            if twice := seen & group.keys():
                raise ValueError(f"feature {min(twice)!r} stands in two groups")
            seen |= group.keys()
        for name, feature in {**self.content, **self.context}.items():
            if feature.statistic is not None:
                raise ValueError(f"feature {name!r}: an aggregate belongs to group 'preference'")
        return self

    @cached_property
    def features(self) -> dict[str, Feature]:
        """All features: content, then context, then preference, each in declared order."""
        return {**self.content, **self.context, **self.preference}

    def of_kind(self, kind: type[FeatureKind]) -> dict[str, Any]:
        """Return the features of one kind, in order."""
        return {name: f for name, f in self.features.items() if type(f) is kind}

    @cached_property
    def ids(self) -> list[str]:
        """The features that leave the encoder as one table row, in the order of its columns."""
        return [n for kind in KINDS for n, f in self.of_kind(kind).items() if f.form == "id"]

    @cached_property
    def values(self) -> list[str]:
        """The features that leave the encoder as one float, in the order of its columns."""
        return [n for kind in KINDS for n, f in self.of_kind(kind).items() if f.form == "value"]

    @cached_property
    def bags(self) -> list[str]:
        """The features that leave the encoder as several table rows."""
        return [n for kind in KINDS for n, f in self.of_kind(kind).items() if f.form == "bag"]

    @cached_property
    def inputs(self) -> list[Input]:
        """The inputs of the tower file, in order; those of width 0 are left out."""
        inputs = [one for kind in KINDS for one in kind.inputs(self.of_kind(kind))]
        return inputs + ([Input("present", "bool", ("batch", 1))] if self.preference else [])

    @cached_property
    def encoded(self) -> list[str]:
        """The names of what the tower program takes, in order."""
        names = ["ids"] if self.ids else []
        names += ["values"] if self.values else []
        names += [i.name for i in self.inputs if i.name.removesuffix(".weights") in self.bags]
        return names + (["present"] if self.preference else [])

    def parse(self, record: Mapping[str, object], *, cells: bool = False) -> dict[str, Raw]:
        """Read a flat record; null and absent features stay out of the result.

        Args:
            record: Feature name to value as JSON has it, or as a table's cell (`cells`).
            cells: Whether values come from a table, where text may hold a list.

        Raises:
            RecordError: Names every feature at fault, with what came and what would be right.

        """
        parsed: dict[str, Raw] = {}
        faults: list[Fault] = []
        for name, value in record.items():
            feature = self.features.get(name)
            if feature is None:
                known = ", ".join(self.features)
                faults.append(Fault.of(name, value, f"one of the known features: {known}"))
                continue
            try:
                raw = feature.cell(value) if cells else feature.parse(value)
            except Mismatch as mismatch:
                faults.append(Fault.of(name, value, str(mismatch)))
                continue
            if raw is not None:
                parsed[name] = raw
        if faults:
            raise RecordError(faults)
        return parsed

    def has_preference(self, record: Record) -> bool:
        """Say whether any preference feature is known."""
        return any(name in record for name in self.preference)

    def pack(self, records: Sequence[Record], present: Sequence[bool]) -> Arrays:
        """Turn parsed records into the inputs of the tower file.

        Args:
            records: Parsed records; a feature without an entry is missing.
            present: For each record, whether its preference group counts.

        """
        arrays: Arrays = {}
        for kind in KINDS:
            arrays |= kind.pack(self.of_kind(kind), records)
        if self.preference:
            arrays["present"] = np.array(present, dtype=np.bool_).reshape(len(records), 1)
        return arrays


class Schema(Strict):
    """Everything learned about what raw values mean; `schema.json` of a run and a bundle.

    `dim` is the length of the vectors that tower files give and that are searched.
    """

    format: Literal[1] = 1
    user: Side
    item: Side
    dim: int = Field(ge=1)
    similarity: Similarity = "cosine"
    tables: dict[str, tuple[str, ...]] = {}
    rules: dict[SideName, str] = {}

    @model_validator(mode="after")
    def _is_whole(self) -> "Schema":
        """Check that every side has features and everything they need to be read."""
        for side in SIDES:
            if not self.side(side).features:
                raise ValueError(f"{side}: expected at least one feature")
            for name, feature in self.side(side).features.items():
                if not feature.is_fitted:
                    raise ValueError(f"{side}.{name}: was never fitted to data")
        for table, uses in shared_tables((side, self.side(side)) for side in SIDES).items():
            if table not in self.tables:
                raise ValueError(f"tables: {table!r} is missing, which {'.'.join(uses[0])} needs")
        for table, words in self.tables.items():
            distinct = set(words)
            reserved = any(MISSING_TOKEN in word for word in words)
            if len(distinct) != len(words) or PADDING_TOKEN in distinct or reserved:
                raise ValueError(f"tables: {table!r} holds a word twice, or one that is reserved")
        return self

    def side(self, name: SideName) -> Side:
        """Return one side."""
        return self.user if name == "user" else self.item

    @property
    def program_dim(self) -> int:
        """The length of what a run's tower programs give: without the lift of an inner product."""
        return self.dim - extra_dims(self.similarity)

    def words(self, side: SideName) -> dict[str, tuple[str, ...]]:
        """Return, for each feature of a side with a vocabulary, the words in row order."""
        uses = shared_tables([(side, self.side(side))]).items()
        return {name: self.tables[table] for table, users in uses for _, name in users}

    def rows(self, table: str) -> int:
        """Return the rows of a table: reserved rows and words, or the buckets of a number."""
        if table in self.tables:
            return FIRST_WORD_ROW + len(self.tables[table])
        side, _, name = table.partition(".")
        rows = self.side("user" if side == "user" else "item").features[name].own_rows()
        if rows is None:
            raise SchemaError(f"schema.json: table {table!r} is named by a feature but missing")
        return rows

    @cached_property
    def hash(self) -> str:
        """Return the SHA-256 of the schema's canonical JSON, as `hash_of` gives it."""
        return hash_of(self.model_dump_json(exclude_none=True))

    def write(self, path: Path) -> None:
        """Write `schema.json`."""
        path.write_text(self.model_dump_json(indent=1, exclude_none=True) + "\n", encoding="utf-8")


def hash_of(text: str | bytes) -> str:
    """Return the SHA-256 of JSON, whatever its spaces; the order of keys counts.

    Taken of the file and not of what was read from it, so that an option which a later release
    adds, with its default, does not change the hash of an older schema.
    """
    canonical = json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def table_of(side: SideName, name: str, feature: FeatureKind) -> str:
    """Return the table of a feature: the one it names, else one of its own."""
    return getattr(feature, "table", None) or f"{side}.{name}"


def read_schema(path: Path) -> Schema:
    """Read `schema.json`.

    Raises:
        SchemaError: It is not there or not a schema of this format.

    """
    try:
        return Schema.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SchemaError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        raise SchemaError(f"{path}: {explain(error)}") from error


def explain(error: ValidationError) -> str:
    """Say in one line which key is at fault, what came and what would be right."""
    lines = []
    for fault in error.errors(include_url=False)[:5]:
        where = ".".join(str(part) for part in fault["loc"]) or "top level"
        got = fault["input"]
        shown = "" if isinstance(got, Mapping | list) else f", got {got!r}"
        lines.append(f"{where}: {fault['msg']}{shown}")
    return "; ".join(lines)


def shared_tables(sides: Iterable[tuple[SideName, Side]]) -> dict[str, list[tuple[SideName, str]]]:
    """Return every table with a vocabulary and the (side, feature) pairs that use it."""
    users: dict[str, list[tuple[SideName, str]]] = {}
    for side_name, side in sides:
        for name, feature in side.features.items():
            if feature.form != "value" and feature.own_rows() is None:
                users.setdefault(table_of(side_name, name, feature), []).append((side_name, name))
    return users
