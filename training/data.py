"""The three tables of a data folder, read and checked: interactions, users, items."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from export.contract.errors import DataError
from export.contract.features import FeatureKind, Mismatch, Vector
from export.contract.features.column import distinct
from export.contract.side import Side, SideName
from export.contract.tables import RecordTable, read_ids, read_records, read_table
from training.columns import Carried, Column, Columns, first_of_repeats
from training.config import DataConfig
from training.vectors import read_vectors

OWN = {"user_id", "item_id", "label", "weight", "timestamp", "order"}


@dataclass(frozen=True)
class Interactions:
    """One row for each time an item was shown to a user; all arrays have the same length.

    `user` and `item` are positions in the tables of users and items, `label` is 1 or 0 (shown
    and not clicked), `timestamp` seconds (any origin), `order` rises with time within a user.
    `columns` holds every other column as it came, `carried` those that are features of a side.
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    label: NDArray[np.int8]
    weight: NDArray[np.float32]
    timestamp: NDArray[np.float64] | None
    order: NDArray[np.int64] | None
    columns: dict[str, Column]
    carried: dict[SideName, dict[str, Carried]] = field(
        default_factory=lambda: {"user": {}, "item": {}}
    )

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True)
class Data:
    """What a data folder holds; `dropped` counts the rows that were left out, by reason.

    `vectors` holds, by file, given vectors of all items or all users, as statistics of the other
    side read them: float32[items or users, size], NaN for none.
    """

    interactions: Interactions
    users: RecordTable
    items: RecordTable
    dropped: dict[str, int] = field(default_factory=dict)
    vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)


def read_data(config: DataConfig, user: Side, item: Side) -> Data:
    """Read the three tables.

    Rows of interactions with an id that users or items do not list are left out, as are exact
    repeats of a row; each is counted once, under the first reason that holds. Context stands on
    the interactions only; given preference stands there or in the table of its side.

    Raises:
        DataError: Names file, column, row, what came and what would be right.

    """
    users = read_records(config.folder / config.users, _without_context(user), "user_id")
    items = read_records(config.folder / config.items, item, "item_id")
    path = config.folder / config.interactions
    table = read_table(path)
    known = _Known.of(table, path, users.ids, items.ids)
    of_user, of_item = _given(user, table.column_names), _given(item, table.column_names)
    for name in of_user.keys() & of_item.keys():
        raise DataError(f"{path}: column {name!r} could be of user or item; rename one of them")
    _check_columns(user, users, config.folder / config.users, of_user)
    _check_columns(item, items, config.folder / config.items, of_item)
    rows = _interactions(Columns(table, path), known, {"user": of_user, "item": of_item})
    for side, records, column in ((user, users, "user_id"), (item, items, "item_id")):
        _fill_vectors(side, records, config.folder, column)
    vectors = {
        file: read_vectors(config.folder / file, others.ids, column)
        for side, others, column in ((user, items, "item_id"), (item, users, "user_id"))
        for file in _vector_files(side)
    }
    return Data(rows, users, items, known.dropped, vectors)


@dataclass(frozen=True)
class _Known:
    """The rows of interactions that count, with the positions of their users and items.

    `dropped` counts the others, by reason.
    """

    rows: NDArray[np.int64]
    user: NDArray[np.int32]
    item: NDArray[np.int32]
    dropped: dict[str, int]

    @classmethod
    def of(
        cls, table: pa.Table, path: Path, users: Sequence[str], items: Sequence[str]
    ) -> "_Known":
        """Find them; `users` and `items` are the ids that there are.

        Raises:
            DataError: An id is none, or no row is left.

        """
        user = _positions(table, "user_id", path, users)
        item = _positions(table, "item_id", path, items)
        known, first = (user >= 0) & (item >= 0), first_of_repeats(table)
        dropped = {
            "unknown_user": int((user < 0).sum()),
            "unknown_item": int(((item < 0) & (user >= 0)).sum()),
            "exact_repeat": int((~first & known).sum()),
        }
        kept = np.flatnonzero(known & first)
        if not len(kept):
            raise DataError(f"{path}: no row is left of {len(table)} ({dropped})")
        return cls(kept, user[kept].astype(np.int32), item[kept].astype(np.int32), dropped)


def _interactions(
    columns: Columns, known: _Known, carried: Mapping[SideName, Mapping[str, FeatureKind]]
) -> Interactions:
    """Read the columns of the rows that count; `carried` are the features that stand there."""
    kept = known.rows
    return Interactions(
        user=known.user,
        item=known.item,
        label=columns.labels()[kept],
        weight=columns.weights()[kept],
        timestamp=_taken(columns.timestamps(), kept),
        order=_taken(columns.orders(), kept),
        columns=columns.others(kept, OWN),
        carried={
            side: {name: columns.carried(name, f, kept) for name, f in features.items()}
            for side, features in carried.items()
        },
    )


def _vector_files(side: Side) -> list[str]:
    """Return the files of given vectors of the other side that statistics of this one read."""
    statistics = [f.statistic for f in side.preference.values() if f.statistic is not None]
    return sorted({one.vectors_of for one in statistics if one.vectors_of is not None})


def _fill_vectors(side: Side, table: RecordTable, folder: Path, id_column: str) -> None:
    """Put the vectors of features with a file into the records, where they have one."""
    for name, feature in side.of_kind(Vector).items():
        if feature.file is None:
            continue
        path = folder / feature.file
        found = read_vectors(path, table.ids, id_column)
        try:
            for record, vector in zip(table.records, found, strict=True):
                if not np.isnan(vector[0]):
                    record[name] = feature.parse(vector.tolist())
        except Mismatch as mismatch:
            raise DataError(f"{path}: feature {name!r}: expected {mismatch}") from mismatch


def _without_context(side: Side) -> Side:
    return Side(content=side.content, preference=side.preference)


def _given(side: Side, have: Collection[str]) -> dict[str, FeatureKind]:
    """Return the features that the interactions carry: context and given preference."""
    features = {**side.context, **side.preference}
    return {n: f for n, f in features.items() if n in have and f.statistic is None}


def _check_columns(side: Side, table: RecordTable, path: Path, carried: Collection[str]) -> None:
    """Refuse a feature that has no column, since it would be missing everywhere, or has two."""
    for name, feature in side.features.items():
        if feature.statistic is not None or feature.made_of:
            continue
        if file := getattr(feature, "file", None):
            if name in carried or name in table.features:
                raise DataError(f"{name}: got a column and the file {file!r}, expected one of them")
            continue
        if name in carried:
            continue
        if name in side.context:
            raise DataError(f"context.{name}: interactions have no such column")
        if any(name in record for record in table.records):
            continue
        if name not in (have := read_table(path).column_names):
            raise DataError(f"{path}: no column {name!r}; the columns are {', '.join(have)}")


def _taken(values: Column | None, kept: Column) -> Any:
    return None if values is None else values[kept]


def _positions(table: pa.Table, column: str, path: Path, known: Sequence[str]) -> NDArray[np.int64]:
    """Return the position of each row's id among the known ones, -1 for none."""
    if column not in table.column_names:
        read_ids(table, column, path)  # raises, and says which columns there are
    cells, code = distinct(table.column(column))
    kind = table.schema.field(column).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    try:  # each distinct id is checked and looked up once
        ids = read_ids(pa.table({column: pa.array(cells, kind)}), column, path)
    except DataError:
        read_ids(table, column, path)  # raises too, and names the row
        raise
    position = {one: at for at, one in enumerate(known)}
    at = np.array([position.get(one, -1) for one in ids], dtype=np.int64)
    return at[code]
