"""One side of the schema: its features in their groups, in order; records to raw arrays."""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator, model_validator

from export.contract.errors import MOST_TOLD, Fault, RecordError
from export.contract.features import KINDS, Category, Feature, FeatureKind, Input, Mismatch, Raw
from export.contract.features.column import Column
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

    @cached_property
    def item_vectors(self) -> list[str]:
        """The preference features that are made of given vectors: of items, if this is a user."""
        statistics = {name: f.statistic for name, f in self.preference.items()}
        return [name for name, s in statistics.items() if s is not None and s.vectors_of]

    @cached_property
    def by_kind(self) -> dict[type[FeatureKind], dict[str, Any]]:
        """The features of each kind that there is, in order."""
        kinds = {kind: self.of_kind(kind) for kind in KINDS}
        return {kind: features for kind, features in kinds.items() if features}

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
            RecordError: Names the features at fault, `MOST_TOLD` of them at most, with what came
                and what would be right.

        """
        parsed: dict[str, Raw] = {}
        faults: list[Fault] = []
        for name, value in record.items():
            if len(faults) == MOST_TOLD:
                break
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
        for kind, features in self.by_kind.items():
            arrays |= kind.pack(features, records)
        if self.preference:
            arrays["present"] = np.array(present, dtype=np.bool_).reshape(len(records), 1)
        return arrays

    def have_preference(self, columns: Mapping[str, Column]) -> NDArray[np.bool_]:
        """Say of each row what `has_preference` says of a record: [rows].

        Args:
            columns: Of every feature in `given`.

        """
        known = [columns[name].known for name in self.preference if name in columns]
        if not known:
            rows = len(next(iter(columns.values())).known)
            return np.zeros(rows, dtype=np.bool_)
        has_any: NDArray[np.bool_] = np.logical_or.reduce(known)
        if self.counter is None:
            return has_any
        return has_any & ~(columns[self.counter].numbers < self.least)

    def pack_columns(
        self, columns: Mapping[str, Column], present: NDArray[np.bool_], rows: slice
    ) -> Arrays:
        """Turn some rows of columns into the inputs of the tower file, as `pack` does records.

        Args:
            columns: Of every feature in `given`.
            present: For each row of the columns, whether its preference group counts.
            rows: Which to take, in order.

        """
        arrays: Arrays = {}
        for features in self.by_kind.values():
            parts: dict[str, list[NDArray[Any]]] = {}
            for name in (name for name in features if name in columns):
                for tensor, array in columns[name].pack(rows).items():
                    parts.setdefault(tensor, []).append(array)
            for tensor, found in parts.items():  # features of one kind may share a tensor
                arrays[tensor] = found[0] if len(found) == 1 else np.concatenate(found, axis=1)
        if self.preference:
            arrays["present"] = present[rows, None]
        return arrays


def concept_of(feature: FeatureKind) -> str | None:
    """Return the feature `by` whose words a statistic is taken, if it is one of that sort."""
    return feature.statistic.by if isinstance(feature.statistic, Total) else None


def is_counter(feature: FeatureKind) -> bool:
    """Say whether a feature is the number of all interactions."""
    statistic = feature.statistic
    return isinstance(statistic, Count) and not statistic.where and statistic.window is None


def _is_concept(feature: FeatureKind | None) -> bool:
    return isinstance(feature, Category) and feature.statistic is None
