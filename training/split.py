"""Who trains, who validates, who tests: by time, by held-out ids, or as given."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from export.contract.errors import DataError
from export.contract.strict import Strict
from export.contract.tables import read_ids, read_table
from training.hashing import chosen, chosen_pairs

if TYPE_CHECKING:  # its config holds SplitConfig
    from training.data import Data

UNUSED, TRAIN, VALIDATION, TEST = 0, 1, 2, 3
PARTS = {"unused": UNUSED, "train": TRAIN, "validation": VALIDATION, "test": TEST}

Flags = NDArray[np.bool_]


class ValidationConfig(Strict):
    """The shares of train that validation is carved from: pairs, and pseudo-cold ids.

    The pairs are the latest ones, since what is asked of the model is the future; drawn by hash
    where there is no timestamp or the split does not go by time. Ids are drawn by hash.
    """

    pairs: float = Field(0.1, ge=0, lt=1)
    items: float = Field(0.1, ge=0, lt=1)
    users: float = Field(0.1, ge=0, lt=1)
    seed: int = 1


class HeldOut(Strict):
    """What a split holds out: a `test` share, and cold ids that train nothing, by hash."""

    test: float = Field(0.2, gt=0, lt=1)
    cold_items: float = Field(0.15, ge=0, lt=1)
    cold_users: float = Field(0.15, ge=0, lt=1)
    seed: int = 1
    validation: ValidationConfig = ValidationConfig()


class ByTimeSplit(HeldOut):
    """The last `test` share of rows by time tests."""

    kind: Literal["by_time"] = "by_time"


class HeldOutIdsSplit(HeldOut):
    """A `test` share of pairs tests, whenever they happened."""

    kind: Literal["held_out_ids"] = "held_out_ids"


class GivenSplit(Strict):
    """A column of interactions says train, validation, test or unused.

    `cold` names a table (columns `kind` of user or item, and `id`) of the ids that count as
    cold; without it, those with no train row do.
    """

    kind: Literal["given"] = "given"
    column: str = "split"
    cold: str | None = None
    validation: ValidationConfig = ValidationConfig()


SplitConfig = Annotated[
    ByTimeSplit | HeldOutIdsSplit | GivenSplit,
    Field(discriminator="kind"),
]


@dataclass(frozen=True)
class Cold:
    """Which users and items are held out of training."""

    users: Flags
    items: Flags

    def any_of(self, data: "Data") -> Flags:
        """Say of each row whether its user or its item is held out."""
        rows = data.interactions
        return self.users[rows.user] | self.items[rows.item]


@dataclass(frozen=True)
class Split:
    """The part each row plays, and which ids are cold in validation and in test.

    `part` is [rows] of UNUSED, TRAIN, VALIDATION, TEST. In `cold_users` and `cold_items` the
    key says for which part: an id that is cold for validation trains nothing, but is known when
    test begins. Whoever has no row before a part is cold in it, held out or not, unless a file
    lists the cold ids.
    """

    part: NDArray[np.int8]
    cold_users: dict[int, Flags]
    cold_items: dict[int, Flags]

    def rows(self, part: int) -> NDArray[np.int64]:
        """Return the rows that play a part, in order."""
        return np.flatnonzero(self.part == part)

    def counts(self) -> dict[str, int]:
        """Return how many rows play each part."""
        return _counts(self.part)


def make_split(config: SplitConfig, data: "Data", folder: Path) -> Split:
    """Give every row of `data` its part.

    Raises:
        DataError: The split needs a column or file that is not there, or leaves nothing to
            train or (unless it was given) to test.

    """
    rows, by_time = data.interactions, not isinstance(config, HeldOutIdsSplit)
    if isinstance(config, GivenSplit):
        part = _given_parts(config, data)
        cold = _given_cold(config, data, part, folder)
    else:
        seed = config.seed
        cold = Cold(
            chosen(data.users.ids, config.cold_users, f"cold user {seed}"),
            chosen(data.items.ids, config.cold_items, f"cold item {seed}"),
        )
        if isinstance(config, ByTimeSplit):
            tests = _latest(rows.timestamp, config.test)
        else:
            tests = _pairs(data, config.test, f"test {seed}")
        part = np.where(tests, TEST, np.where(cold.any_of(data), UNUSED, TRAIN)).astype(np.int8)
    _check(part, TRAIN, "no train row is left")
    part, pseudo = _carve(config.validation, data, part, by_time)
    _check(part, TRAIN, "no train row is left beside validation")
    if not isinstance(config, GivenSplit):
        _check(part, TEST, "no test row is left")
    return _with_cold(data, part, cold, pseudo, natural=getattr(config, "cold", None) is None)


def _check(part: NDArray[np.int8], needed: int, fault: str) -> None:
    if not (part == needed).any():
        raise DataError(f"split: {fault} ({_counts(part)})")


def _counts(part: NDArray[np.int8]) -> dict[str, int]:
    return {name: int((part == number).sum()) for name, number in PARTS.items()}


def _given_parts(config: GivenSplit, data: "Data") -> NDArray[np.int8]:
    column = data.interactions.columns.get(config.column)
    if column is None:
        have = ", ".join(data.interactions.columns)
        raise DataError(
            f"split.column: interactions have no column {config.column!r}; besides ids, label, "
            f"weight, timestamp and order they have: {have or 'none'}"
        )
    found = [PARTS.get(name, -1) for name in column.tolist()]
    part = np.array(found, dtype=np.int8)
    if (part < 0).any():
        bad, first = int((part < 0).sum()), column[np.argmin(part)]
        raise DataError(
            f"interactions: column {config.column!r}: got {first!r} (and {bad - 1} more rows), "
            "expected train, validation, test or unused"
        )
    return part


def _given_cold(config: GivenSplit, data: "Data", part: NDArray[np.int8], folder: Path) -> "Cold":
    """Read the ids that are listed as cold; without a list, none is held out."""
    if config.cold is None:
        return Cold(np.zeros(len(data.users), bool), np.zeros(len(data.items), bool))
    path = folder / config.cold
    table = read_table(path)
    listed: dict[str, set[str]] = {"user": set(), "item": set()}
    pairs = zip(read_ids(table, "kind", path), read_ids(table, "id", path), strict=True)
    for row, (kind, one) in enumerate(pairs, start=1):
        if kind not in listed:
            raise DataError(
                f"{path}: column 'kind', row {row}: got {kind!r}, expected user or item"
            )
        listed[kind].add(one)
    cold = Cold(
        np.array([one in listed["user"] for one in data.users.ids], dtype=bool),
        np.array([one in listed["item"] for one in data.items.ids], dtype=bool),
    )
    trained = ((part == TRAIN) | (part == VALIDATION)) & cold.any_of(data)
    if trained.any():
        raise DataError(
            f"{path}: {int(trained.sum())} train or validation rows are of ids listed as cold"
        )
    return cold


def _carve(
    config: ValidationConfig, data: "Data", part: NDArray[np.int8], by_time: bool
) -> tuple[NDArray[np.int8], "Cold"]:
    """Move a share of train rows to validation, unless the split gave one.

    Returns the parts, and the ids that are held out of training for validation's sake.
    """
    rows, seed, train = data.interactions, config.seed, part == TRAIN
    if (part == VALIDATION).any():
        return part, Cold(np.zeros(len(data.users), bool), np.zeros(len(data.items), bool))
    pseudo = Cold(
        chosen(data.users.ids, config.users, f"pseudo-cold user {seed}"),
        chosen(data.items.ids, config.items, f"pseudo-cold item {seed}"),
    )
    if by_time and rows.timestamp is not None:
        pairs = rows.timestamp > np.quantile(rows.timestamp[train], 1 - config.pairs)
    else:
        pairs = _pairs(data, config.pairs, f"validation {seed}")
    held = pairs | pseudo.any_of(data)
    return np.where(train & held, VALIDATION, part).astype(np.int8), pseudo


def _with_cold(
    data: "Data", part: NDArray[np.int8], cold: "Cold", pseudo: "Cold", *, natural: bool
) -> Split:
    """Say who is cold: whoever was held out and, if `natural`, whoever has no row so far."""
    rows = data.interactions
    users = {VALIDATION: cold.users | pseudo.users, TEST: cold.users}
    items = {VALIDATION: cold.items | pseudo.items, TEST: cold.items}
    if natural:
        for number, known in ((VALIDATION, (TRAIN,)), (TEST, (TRAIN, VALIDATION))):
            seen = np.isin(part, known)
            users[number] = users[number] | ~_members(rows.user[seen], len(data.users))
            items[number] = items[number] | ~_members(rows.item[seen], len(data.items))
    return Split(part, cold_users=users, cold_items=items)


def _pairs(data: "Data", share: float, salt: str) -> Flags:
    rows = data.interactions
    return chosen_pairs(data.users.ids, data.items.ids, rows.user, rows.item, share, salt)


def _latest(timestamp: NDArray[np.float64] | None, share: float) -> Flags:
    if timestamp is None:
        raise DataError("split by_time: interactions have no timestamp; use held_out_ids or given")
    return timestamp > np.quantile(timestamp, 1 - share)


def _members(positions: NDArray[np.int32], size: int) -> Flags:
    flags = np.zeros(size, dtype=bool)
    flags[positions] = True
    return flags
