"""What a check looks at, and what it tells."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from export.contract.features import FeatureKind, Raw
from export.contract.schema import Schema
from export.contract.side import SideName
from export.contract.tables import RecordTable
from training.config import TrainConfig
from training.data import Data, read_data
from training.fit import fit_schema
from training.parts import TRAIN, Split
from training.prepare import log_of
from training.split import make_split
from training.statistics import Log

Severity = Literal["note", "warning", "serious"]
SEVERITIES: tuple[Severity, ...] = ("serious", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that was found: how bad, where, what, by which figures, and what to do."""

    severity: Severity
    where: str
    what: str
    remedy: str
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Patient:
    """A config and its data, split; the schema is fitted when a check first asks for it."""

    config: TrainConfig
    data: Data
    split: Split

    @classmethod
    def of(cls, config: TrainConfig) -> "Patient":
        """Read the data and split it.

        Raises:
            DataError: The data cannot be used.
        """
        data = read_data(config.data, config.user, config.item)
        return cls(config, data, make_split(config.split, data, config.data.folder))

    @cached_property
    def log(self) -> Log:
        """The interactions, of which training may see the train rows."""
        return log_of(self.data, self.split, (TRAIN,))

    @cached_property
    def schema(self) -> Schema:
        """The schema as training would fit it, ids in content let pass."""
        return fit_schema(self.config.model_copy(update={"allow_id": True}), self.data, self.log)

    def table(self, side: SideName) -> RecordTable:
        """Return the table of a side."""
        return self.data.users if side == "user" else self.data.items

    def given(self, side: SideName) -> Iterator[tuple[str, FeatureKind]]:
        """Give the features whose values the table of a side holds, by `group.name`."""
        features = self.config.user if side == "user" else self.config.item
        carried = self.data.interactions.carried[side]
        for name, feature in features.stored.items():
            if feature.statistic is None and not feature.made_of and name not in carried:
                yield name, feature

    def path(self, side: SideName, name: str) -> str:
        """Return where a feature stands in the config."""
        features = self.config.user if side == "user" else self.config.item
        return f"{side}.{features.group_of(name)}.{name}"

    def values(self, side: SideName, name: str) -> list[Raw]:
        """Return a feature of every entity, None where it is missing."""
        return [record.get(name) for record in self.table(side).records]

    def ids(self, side: SideName) -> NDArray[np.int32]:
        """Return the entity of each row of the interactions."""
        rows = self.data.interactions
        return rows.user if side == "user" else rows.item


Check = Callable[[Patient], Iterator[Finding]]
