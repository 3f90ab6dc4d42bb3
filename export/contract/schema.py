"""The schema: the features of both sides in their groups, in order; records to raw arrays."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
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
    Category,
    Feature,
    FeatureKind,
    Input,
    Mismatch,
    Raw,
)
from export.contract.sharing import check_tables, shared_tables, table_users
from export.contract.similarity import Similarity, extra_dims
from export.contract.statistics import Count, Total
from export.contract.strict import Strict

SideName = Literal["user", "item"]
SIDES: tuple[SideName, ...] = ("user", "item")
Group = Literal["content", "context", "preference"]
Record = Mapping[str, Raw]
Arrays = dict[str, NDArray[Any]]

NAME = re.compile(r"\w[\w-]{0,63}")
PRESENT_WHEN = re.compile(r"interactions *>= *([1-9][0-9]{0,8})")
TAKEN_NAMES = frozenset(
    {"id", "item", "item_id", "items", "user", "user_id", "users"}
    | {"content", "context", "preference", "preference_as_of", "popularity", "first_seen"}
    | {"label", "order", "split", "timestamp", "weight", "history"}
    | {"ids", "numbers", "present", "strings", "values", "vector"}
)
"""Names with a meaning of their own in requests, tables or tower files."""


class Side(Strict):
    """The features of one side by group. `present` speaks for the preference group.

    `present_when: interactions >= n` makes it count only for whoever has at least n rows, of any
    label. Their number is a declared count among the preference, without `where` and `window`.
    """

    content: dict[str, Feature] = {}
    context: dict[str, Feature] = {}
    preference: dict[str, Feature] = {}
    present_when: str | None = None

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
        for name, feature in self.features.items():
            self._check_sources(name, feature)
        return self

    @model_validator(mode="after")
    def _statistics_fit(self) -> "Side":
        for name, feature in self.features.items():
            by = concept_of(feature)
            home = self.preference if by is None else self.content
            if feature.statistic is not None and name not in home:
                raise ValueError(
                    f"feature {name!r}: an aggregate belongs to group 'preference', "
                    "or with 'by' to group 'content'"
                )
            if by is not None and not _is_concept(self.content.get(by)):
                raise ValueError(
                    f"feature {name!r}: by: got {by!r}, expected a content feature of the same "
                    "side, of kind category"
                )
        return self

    @model_validator(mode="after")
    def _is_told_when_present(self) -> "Side":
        if self.present_when is None:
            return self
        if not PRESENT_WHEN.fullmatch(self.present_when):
            raise ValueError(
                f"present_when: got {self.present_when!r}, expected 'interactions >= n' with a "
                "whole number n above 0"
            )
        if self.counter is None:
            raise ValueError(
                "present_when: nothing tells the number of interactions; declare "
                "{kind: number, aggregate: count}, without where and window, in preference"
            )
        return self

    @cached_property
    def least(self) -> int:
        """The interactions that `present_when` asks for; 0 if it asks for none."""
        found = PRESENT_WHEN.fullmatch(self.present_when or "")
        return int(found[1]) if found else 0

    @cached_property
    def counter(self) -> str | None:
        """The preference feature that counts all interactions, if there is one."""
        counts = (n for n, f in self.preference.items() if is_counter(f))
        return next(counts, None)

    def _check_sources(self, name: str, feature: Feature) -> None:
        """Check a feature that is made of others: they are there, and not hidden before it is."""
        if not feature.made_of:
            return
        for one in feature.made_of:
            if one not in self.features:
                raise ValueError(f"feature {name!r}: of: there is no feature {one!r} on this side")
        try:
            feature.check_sources([self.features[one] for one in feature.made_of])
        except ValueError as error:
            raise ValueError(f"feature {name!r}: {error}") from None
        groups = {self.group_of(one) for one in feature.made_of}
        own = groups - {"content"} or {"content"}
        if own != {self.group_of(name)}:
            right = own.pop() if len(own) == 1 else "no group: context and preference do not mix"
            raise ValueError(f"feature {name!r}: with what it is made of, it belongs to {right}")

    def group_of(self, name: str) -> Group:
        """Return the group of a feature."""
        if name in self.content:
            return "content"
        return "context" if name in self.context else "preference"

    @cached_property
    def given(self) -> dict[str, Feature]:
        """The features that records may hold: all but those that are made of others."""
        return {name: f for name, f in self.features.items() if not f.made_of}

    @cached_property
    def features(self) -> dict[str, Feature]:
        """All features: content, then context, then preference, each in declared order."""
        return {**self.content, **self.context, **self.preference}

    @cached_property
    def stored(self) -> dict[str, Feature]:
        """The features that belong to the entity: all but context."""
        return {**self.content, **self.preference}

    @cached_property
    def concepts(self) -> dict[str, str]:
        """Each content feature that is a statistic of a parent concept -> the concept's feature."""
        return {n: by for n, f in self.content.items() if (by := concept_of(f)) is not None}

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
    def vectors(self) -> list[str]:
        """The features that leave the encoder as several floats."""
        return [n for kind in KINDS for n, f in self.of_kind(kind).items() if f.form == "vector"]

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
        return names + self.vectors + (["present"] if self.preference else [])

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
                known = ", ".join(self.given)
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

    def has_preference(self, record: Record, interactions: float | None = None) -> bool:
        """Say whether the preference of a record counts: what `present` is.

        Any of its features is known, and there are as many interactions as `present_when` asks
        for. Where nothing tells how many there are, the first is enough.

        Args:
            record: Parsed.
            interactions: How many there are; by default what the record says.

        """
        if not any(name in record for name in self.preference):
            return False
        if interactions is None and self.counter is not None:
            told = record.get(self.counter)
            interactions = told if isinstance(told, float) else None
        return interactions is None or interactions >= self.least

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
        sides = [(side, self.side(side)) for side in SIDES]
        check_tables(sides)
        uses = shared_tables(sides)
        for table, users in uses.items():
            if table not in self.tables:
                raise ValueError(f"tables: {table!r} is missing, which {'.'.join(users[0])} needs")
        for table, words in self.tables.items():
            readers = [self.side(side).features[name] for side, name in uses.get(table, ())]
            is_word = all(reader.is_word(word) for reader in readers[:1] for word in words)
            if len(set(words)) != len(words) or not is_word:
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
        users = table_users((side, self.side(side)) for side in SIDES).get(table, ())
        rows = next((self.side(side).features[name].own_rows() for side, name in users), None)
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


def concept_of(feature: FeatureKind) -> str | None:
    """Return the feature `by` whose words a statistic is taken, if it is one of that sort."""
    return feature.statistic.by if isinstance(feature.statistic, Total) else None


def is_counter(feature: FeatureKind) -> bool:
    """Say whether a feature is the number of all interactions."""
    statistic = feature.statistic
    return isinstance(statistic, Count) and not statistic.where and statistic.window is None


def _is_concept(feature: FeatureKind | None) -> bool:
    return isinstance(feature, Category) and feature.statistic is None


def hash_of(text: str | bytes) -> str:
    """Return the SHA-256 of JSON, whatever its spaces; the order of keys counts.

    Taken of the file and not of what was read from it, so that an option which a later release
    adds, with its default, does not change the hash of an older schema.
    """
    canonical = json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


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
