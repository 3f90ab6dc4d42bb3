"""Who trains, who validates, who tests: by time, by held-out ids, or as given."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from export.contract.errors import DataError
from export.contract.strict import Strict
from export.contract.tables import read_ids, read_table

UNUSED, TRAIN, VALIDATION, TEST = 0, 1, 2, 3

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


class ByTimeSplit(Strict):
    """The last `test` share of rows by time tests; cold ids are held out of training by hash."""

    kind: Literal["by_time"] = "by_time"
    test: float = Field(0.2, gt=0, lt=1)
    cold_items: float = Field(0.15, ge=0, lt=1)
    cold_users: float = Field(0.15, ge=0, lt=1)
    seed: int = 1
    validation: ValidationConfig = ValidationConfig()


class HeldOutIdsSplit(Strict):
    """A share of pairs tests, whenever they happened; cold ids are held out by hash."""

    kind: Literal["held_out_ids"] = "held_out_ids"
    test: float = Field(0.2, gt=0, lt=1)
    cold_items: float = Field(0.15, ge=0, lt=1)
    cold_users: float = Field(0.15, ge=0, lt=1)
    seed: int = 1
    validation: ValidationConfig = ValidationConfig()


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
class Split:
    """The part each row plays, and which ids are cold in validation and in test.

    `part` is [rows] of UNUSED, TRAIN, VALIDATION, TEST. In `cold_users` and `cold_items` the
    key says for which part: an id that is cold for validation trains nothing, but is known when
    test begins.
    """

    part: NDArray[np.int8]
    cold_users: dict[int, Flags]
    cold_items: dict[int, Flags]

    def rows(self, part: int) -> NDArray[np.int64]:
        """Return the rows that play a part, in order."""
        return np.flatnonzero(self.part == part)

    def counts(self) -> dict[str, int]:
        """Return how many rows play each part."""
        names = {"unused": UNUSED, "train": TRAIN, "validation": VALIDATION, "test": TEST}
        return {name: int((self.part == part).sum()) for name, part in names.items()}


def make_split(config: SplitConfig, data: Any, folder: Path) -> Split:
    """Give every row of `data` (`training.data.Data`) its part.

    Raises:
        DataError: The split needs a column or file that is not there, or leaves nothing to train.

    """
    rows, by_time = data.interactions, not isinstance(config, HeldOutIdsSplit)
    if isinstance(config, GivenSplit):
        part, cold_users, cold_items = _given(config, data, folder)
    else:
        seed = config.seed
        cold_users = _chosen(data.users.ids, config.cold_users, f"cold user {seed}")
        cold_items = _chosen(data.items.ids, config.cold_items, f"cold item {seed}")
        if isinstance(config, ByTimeSplit):
            tests = _latest(rows.timestamp, config.test)
        else:
            tests = _chosen(_pairs(data), config.test, f"test {seed}")
        cold = cold_users[rows.user] | cold_items[rows.item]
        part = np.where(tests, TEST, np.where(cold, UNUSED, TRAIN)).astype(np.int8)
    split = _carve(config.validation, data, part, cold_users, cold_items, by_time)
    if not (split.part == TRAIN).any():
        raise DataError(f"split: no train row is left ({split.counts()})")
    return split


def _given(config: GivenSplit, data: Any, folder: Path) -> tuple[NDArray[np.int8], Flags, Flags]:
    rows = data.interactions
    column = rows.columns.get(config.column)
    if column is None:
        raise DataError(f"split.column: interactions have no column {config.column!r}")
    names = {"unused": UNUSED, "train": TRAIN, "validation": VALIDATION, "test": TEST}
    if unknown := set(column.tolist()) - names.keys():
        raise DataError(
            f"column {config.column!r}: got {min(map(repr, unknown))}, "
            "expected train, validation, test or unused"
        )
    part = np.array([names[name] for name in column.tolist()], dtype=np.int8)
    if config.cold is None:
        train = (part == TRAIN) | (part == VALIDATION)
        cold_users = ~_members(rows.user[train], len(data.users))
        return part, cold_users, ~_members(rows.item[train], len(data.items))
    path = folder / config.cold
    table = read_table(path)
    kinds, ids = read_ids(table, "kind", path), read_ids(table, "id", path)
    cold = {kind: {i for k, i in zip(kinds, ids, strict=True) if k == kind} for kind in set(kinds)}
    users = np.array([one in cold.get("user", ()) for one in data.users.ids], dtype=bool)
    items = np.array([one in cold.get("item", ()) for one in data.items.ids], dtype=bool)
    trained = (part == TRAIN) & (users[rows.user] | items[rows.item])
    if trained.any():
        raise DataError(f"{path}: {int(trained.sum())} train rows are of ids listed as cold")
    return part, users, items


def _carve(
    config: ValidationConfig,
    data: Any,
    part: NDArray[np.int8],
    users: Flags,
    items: Flags,
    by_time: bool,
) -> Split:
    """Move a share of train rows to validation, unless the split gave one."""
    rows = data.interactions
    pseudo_users, pseudo_items = np.zeros_like(users), np.zeros_like(items)
    if not (part == VALIDATION).any():
        salt = config.seed
        train = part == TRAIN
        pseudo_users = _chosen(data.users.ids, config.users, f"pseudo-cold user {salt}")
        pseudo_items = _chosen(data.items.ids, config.items, f"pseudo-cold item {salt}")
        if by_time and rows.timestamp is not None:
            pairs = rows.timestamp > np.quantile(rows.timestamp[train], 1 - config.pairs)
        else:
            pairs = _chosen(_pairs(data), config.pairs, f"validation {salt}")
        held = pairs | pseudo_users[rows.user] | pseudo_items[rows.item]
        part = np.where(train & held, VALIDATION, part).astype(np.int8)
    return Split(
        part,
        cold_users={VALIDATION: pseudo_users | users, TEST: users},
        cold_items={VALIDATION: pseudo_items | items, TEST: items},
    )


def _pairs(data: Any) -> Iterable[str]:
    rows, users, items = data.interactions, data.users.ids, data.items.ids
    return (f"{users[u]}\x1f{items[i]}" for u, i in zip(rows.user, rows.item, strict=True))


def _chosen(ids: Iterable[str], share: float, salt: str) -> Flags:
    """Choose a share of ids by hash: the same ids whatever else the table holds."""
    hashed = blake2b(salt.encode(), digest_size=4)
    limit = share * 2**32
    flags = []
    for one in ids:
        own = hashed.copy()
        own.update(one.encode())
        flags.append(int.from_bytes(own.digest(), "little") < limit)
    return np.array(flags, dtype=bool)


def _latest(timestamp: NDArray[np.float64] | None, share: float) -> Flags:
    if timestamp is None:
        raise DataError("split by_time: interactions have no timestamp; use held_out_ids or given")
    edge = np.quantile(timestamp, 1 - share)
    return timestamp > edge


def _members(positions: Sequence[int] | NDArray[np.int32], size: int) -> Flags:
    flags = np.zeros(size, dtype=bool)
    flags[positions] = True
    return flags
