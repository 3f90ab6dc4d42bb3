"""The interaction log, and the rule by which statistics may read it without seeing the answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from export.contract.errors import DataError
from export.contract.statistics import Aggregate, Side, Total, Windowed
from export.contract.strict import Strict
from training.ragged import Positions

FOLDS = 5

Clock = Literal["order", "timestamp"]


class Rule(Strict):
    """How the rows of one side see each other; written into the run.

    `point_in_time`: a train row sees the train rows strictly earlier on `clock`. `out_of_fold`: it
    sees the train rows of the other folds. Under both, any other row sees all train rows.
    """

    side: Side
    kind: Literal["point_in_time", "out_of_fold"]
    clock: Clock | None = None
    folds: int | None = None
    seed: int | None = None

    def __str__(self) -> str:
        if self.kind == "point_in_time":
            return f"{self.side}: point_in_time by {self.clock}"
        return f"{self.side}: out_of_fold, {self.folds} folds, seed {self.seed}"


@dataclass(frozen=True, eq=False)
class Log:
    """All interactions as parallel arrays; `user` and `item` are rows of the id tables.

    `label` is 1 or 0, `time` is in seconds, `order` counts within a user, `columns` holds what
    else a `where` may ask for, and `seed` draws the folds. Raises DataError where they disagree.
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    label: NDArray[Any]
    is_train: NDArray[np.bool_]
    time: NDArray[np.float64] | None = None
    order: NDArray[np.int64] | None = None
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        arrays = {"item": self.item, "label": self.label, "is_train": self.is_train}
        clocks = {"timestamp": self.time, "order": self.order}
        arrays |= {name: clock for name, clock in clocks.items() if clock is not None}
        for name, array in {**arrays, **self.columns}.items():
            if len(array) != len(self):
                raise DataError(f"interactions: {len(array)} of {name!r} for {len(self)} rows")
        _refuse(~np.isin(self.label, (0, 1)), "label", self.label, "0 or 1")
        _refuse(self.user < 0, "user", self.user, "a row of the users table")
        _refuse(self.item < 0, "item", self.item, "a row of the items table")
        if self.time is not None:
            lost = ~np.isfinite(self.time) & self.is_train
            _refuse(lost, "timestamp", self.time, "a time in every train row, or no such column")

    def __len__(self) -> int:
        return len(self.user)

    def ids(self, side: Side) -> NDArray[np.int32]:
        """Return the entity of each row on this side."""
        return self.user if side == "user" else self.item

    def others(self, side: Side) -> NDArray[np.int32]:
        """Return the entity of each row on the other side."""
        return self.item if side == "user" else self.user

    def moments(self, clock: Clock) -> NDArray[Any]:
        """Return the reading of a clock in each row; raises DataError if there is no such clock."""
        reading = self.order if clock == "order" else self.time
        if reading is None:
            raise DataError(f"interactions: no column {clock!r}")
        return reading

    def part(self, rows: Positions) -> "LogPart":
        """Return these rows, with the rules, the folds and the end that they have in the whole."""
        return LogPart(
            user=self.user[rows],
            item=self.item[rows],
            label=self.label[rows],
            is_train=self.is_train[rows],
            time=None if self.time is None else self.time[rows],
            order=None if self.order is None else self.order[rows],
            columns={name: column[rows] for name, column in self.columns.items()},
            seed=self.seed,
            whole=self,
            rows=rows,
        )

    def facts(self) -> dict[str, NDArray[Any]]:
        """Return what a `where` is held against: the label and the further columns."""
        return {"label": self.label, **self.columns}

    @cached_property
    def end(self) -> float:
        """The first moment after the last train row, in seconds: where windows of serving end."""
        return float(np.nextafter(self.moments("timestamp")[self.is_train].max(), np.inf))

    @cached_property
    def fold(self) -> NDArray[np.int8]:
        """The fold of each row: a seeded permutation, dealt round."""
        fold = np.empty(len(self), dtype=np.int8)
        fold[np.random.default_rng(self.seed).permutation(len(self))] = np.arange(len(self)) % FOLDS
        return fold

    @cached_property
    def clocks(self) -> frozenset[tuple[Side, Clock]]:
        """The clocks, by side, that tell at least two train rows of one entity apart."""
        sides: tuple[Side, ...] = ("user", "item")
        clocks: tuple[Clock, ...] = ("order", "timestamp")
        return frozenset((s, c) for s in sides for c in clocks if _tells_apart(self, s, c))


@dataclass(frozen=True, eq=False)
class LogPart(Log):
    """Rows of a log that has been checked; what goes for the whole goes for them."""

    whole: Log = field(kw_only=True)
    rows: Positions = field(kw_only=True)

    def __post_init__(self) -> None:
        """Check nothing: the whole was checked."""

    @cached_property
    def end(self) -> float:
        """As in the whole."""
        return self.whole.end

    @cached_property
    def fold(self) -> NDArray[np.int8]:
        """As in the whole."""
        return self.whole.fold[self.rows]

    @cached_property
    def clocks(self) -> frozenset[tuple[Side, Clock]]:
        """As in the whole."""
        return self.whole.clocks


def rule_for(log: Log, side: Side, statistic: Aggregate | None = None) -> Rule:
    """Choose the rule of a side, or of one statistic of it.

    A clock is usable if it tells at least two train rows of one entity apart. An order is known
    within a user only, so neither items nor statistics `by` a concept of users go by it; a window
    is cut by timestamps, so a windowed statistic goes by nothing else, and raises DataError
    without them.
    """
    windowed = isinstance(statistic, Windowed) and statistic.window is not None
    alone = not (isinstance(statistic, Total) and statistic.by is not None)
    clocks: tuple[Clock, ...] = (
        ("order", "timestamp") if side == "user" and alone and not windowed else ("timestamp",)
    )
    for clock in clocks:
        if (side, clock) in log.clocks:
            return Rule(side=side, kind="point_in_time", clock=clock)
    if statistic is not None and windowed:
        raise DataError(
            f"{side} {statistic.aggregate} has a window, but the interactions have no timestamp "
            "that tells train rows apart: add one, or remove the window"
        )
    return Rule(side=side, kind="out_of_fold", folds=FOLDS, seed=log.seed)


def _tells_apart(log: Log, side: Side, clock: Clock) -> bool:
    if (log.order if clock == "order" else log.time) is None or not log.is_train.any():
        return False
    ids, reading = log.ids(side)[log.is_train], log.moments(clock)[log.is_train]
    first = np.empty(int(ids.max()) + 1, dtype=reading.dtype)
    first[ids] = reading  # any one reading of each entity
    return bool((first[ids] != reading).any())


def _refuse(bad: NDArray[np.bool_], column: str, values: NDArray[Any], expected: str) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"interactions, column {column!r}, row {row}: got {values[row]}, expected {expected} "
            f"({int(bad.sum())} such rows)"
        )
