"""A split that was given: by a column, or by files of pairs, so that a published one is exact."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, model_validator

from export.contract.errors import DataError
from export.contract.strict import Strict
from export.contract.tables import read_ids, read_table
from training.carve import ValidationConfig
from training.metrics import Indices, UserItems
from training.parts import PARTS, TRAIN, UNUSED, VALIDATION, Cold, Flags

if TYPE_CHECKING:  # its config holds GivenSplit
    from training.data import Data

SliceName = Literal["warm", "cold_item", "cold_user", "cold_both", "all"]


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Files = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class PairFiles(Strict):
    """The files of each part: one, or a list, of tables with columns `user_id` and `item_id`.

    Every row of such a pair plays the part; a row in none of them is unused.
    """

    train: Files = Field(min_length=1)
    validation: Files = ()
    test: Files = Field(min_length=1)

    @property
    def data_files(self) -> tuple[str, ...]:
        """The files of all parts."""
        return *self.train, *self.validation, *self.test


class GivenSplit(Strict):
    """A column of interactions, or files of pairs, say train, validation, test or unused.

    `cold` names a table (columns `kind` of user or item, and `id`) of the ids that count as
    cold; without it, those with no row before a part do. `candidates` names, by test slice, a
    table (`item_id`) of what is searched; `mask` one (`user_id`, `item_id`) of what is left out
    of users' lists, in place of what they clicked before; `users` one (`user_id`) of those who
    alone are measured. All files lie in the data folder.
    """

    kind: Literal["given"] = "given"
    column: str | None = None
    files: PairFiles | None = None
    cold: str | None = None
    candidates: dict[SliceName, str] = {}
    mask: dict[SliceName, str] = {}
    users: dict[SliceName, str] = {}
    validation: ValidationConfig = ValidationConfig()

    @property
    def data_files(self) -> tuple[str, ...]:
        """The lists of cold ids, candidates, masks and users; `files` tells those of pairs."""
        cold = () if self.cold is None else (self.cold,)
        return *cold, *self.candidates.values(), *self.mask.values(), *self.users.values()

    @model_validator(mode="after")
    def _given_once(self) -> Self:
        if self.column is not None and self.files is not None:
            raise ValueError("column and files say the same; give one of them")
        return self


def given_parts(config: GivenSplit, data: "Data", folder: Path) -> NDArray[np.int8]:
    """Return the part of each row.

    Raises:
        DataError: Names the file, the column and the row that is wrong.
    """
    if config.files is None:
        return _parts_of_column(config.column or "split", data)
    part = np.full(len(data.interactions), UNUSED, dtype=np.int8)
    for name, files in config.files:
        for file in files:
            _mark(part, PARTS[name], folder / file, data)
    return part


def given_cold(config: GivenSplit, data: "Data", part: NDArray[np.int8], folder: Path) -> Cold:
    """Read the ids that are listed as cold; without a list, none is held out.

    Raises:
        DataError: The list names neither user nor item, or an id that trains.
    """
    if config.cold is None:
        return Cold.nobody(data)
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


def given_candidates(config: GivenSplit, data: "Data", folder: Path) -> dict[str, Indices]:
    """Read the items that each named slice is searched among, ascending.

    Raises:
        DataError: A file holds no item, or one that the items do not list.
    """
    found: dict[str, Indices] = {}
    for name, file in config.candidates.items():
        path = folder / file
        found[name] = np.unique(_positions(path, "item_id", data.items.ids))
        if not len(found[name]):
            raise DataError(f"{path}: no row; expected the items that {name} is searched among")
    return found


def given_masks(config: GivenSplit, data: "Data", folder: Path) -> dict[str, UserItems]:
    """Read the pairs that each named slice leaves out of users' lists.

    Raises:
        DataError: A file holds an id that users or items do not list.
    """
    return {
        name: UserItems.from_pairs(*_read_pairs(folder / file, data), len(data.users))
        for name, file in config.mask.items()
    }


def given_users(config: GivenSplit, data: "Data", folder: Path) -> dict[str, Flags]:
    """Read who alone is measured in each named slice: bool[users].

    Raises:
        DataError: A file holds no user, or one that the users do not list.
    """
    found: dict[str, Flags] = {}
    for name, file in config.users.items():
        path = folder / file
        found[name] = np.zeros(len(data.users), dtype=bool)
        found[name][_positions(path, "user_id", data.users.ids)] = True
        if not found[name].any():
            raise DataError(f"{path}: no row; expected the users that {name} is measured on")
    return found


def _mark(part: NDArray[np.int8], number: int, path: Path, data: "Data") -> None:
    """Give the rows of a file's pairs their part."""
    rows, items = data.interactions, len(data.items)
    user, item = _read_pairs(path, data)
    pair, named = rows.user * np.int64(items) + rows.item, user * np.int64(items) + item
    if len(unknown := np.flatnonzero(~np.isin(named, pair))):
        raise DataError(f"{path}: {_row(data, user, item, unknown[0])} is no interaction")
    is_named = np.isin(pair, named)
    if len(taken := np.flatnonzero(is_named & ~np.isin(part, (UNUSED, number)))):
        other = next(name for name, one in PARTS.items() if one == part[taken[0]])
        row = np.flatnonzero(named == pair[taken[0]])[0]
        raise DataError(f"{path}: {_row(data, user, item, row)} stands in {other} as well")
    part[is_named] = number


def _parts_of_column(name: str, data: "Data") -> NDArray[np.int8]:
    column = data.interactions.columns.get(name)
    if column is None:
        have = ", ".join(data.interactions.columns)
        raise DataError(
            f"split.column: interactions have no column {name!r}; besides ids, label, "
            f"weight, timestamp and order they have: {have or 'none'}"
        )
    found = [PARTS.get(one, -1) for one in column.tolist()]
    part = np.array(found, dtype=np.int8)
    if (part < 0).any():
        bad, first = int((part < 0).sum()), column[np.argmin(part)]
        raise DataError(
            f"interactions: column {name!r}: got {first!r} (and {bad - 1} more rows), "
            "expected train, validation, test or unused"
        )
    return part


def _read_pairs(path: Path, data: "Data") -> tuple[Indices, Indices]:
    user = _positions(path, "user_id", data.users.ids)
    return user, _positions(path, "item_id", data.items.ids)


def _positions(path: Path, column: str, known: list[str]) -> Indices:
    """Return the place of each row's id among the known ones."""
    ids, place = read_ids(read_table(path), column, path), {one: at for at, one in enumerate(known)}
    found = np.array([place.get(one, -1) for one in ids], dtype=np.int64)
    if (found < 0).any():
        row = int(np.argmax(found < 0))
        table = column.replace("_id", "s")
        raise DataError(
            f"{path}: column {column!r}, row {row + 1}: got {ids[row]!r}, expected an id that "
            f"the {table} list"
        )
    return found


def _row(data: "Data", user: Indices, item: Indices, row: int) -> str:
    ids = f"({data.users.ids[user[row]]!r}, {data.items.ids[item[row]]!r})"
    return f"columns 'user_id', 'item_id', row {row + 1}: the pair {ids}"
