"""The three tables of a data folder, read and checked: interactions, users, items."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.contract.errors import DataError
from export.contract.features import FeatureKind, Mismatch, Vector
from export.contract.side import Side
from export.contract.tables import RecordTable, read_column_names, read_records, read_table
from training.config import DataConfig
from training.interactions import Features, Interactions, read_interactions
from training.vectors import read_vectors


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
    names = read_column_names(path)
    of_user, of_item = _given(user, names), _given(item, names)
    for name in of_user.keys() & of_item.keys():
        raise DataError(f"{path}: column {name!r} could be of user or item; rename one of them")
    _check_columns(user, users, config.folder / config.users, of_user)
    _check_columns(item, items, config.folder / config.items, of_item)
    carried: Features = {"user": of_user, "item": of_item}
    rows, dropped = read_interactions(path, users.ids, items.ids, carried)
    for side, records, column in ((user, users, "user_id"), (item, items, "item_id")):
        _fill_vectors(side, records, config.folder, column)
    vectors = {
        file: read_vectors(config.folder / file, others.ids, column)
        for side, others, column in ((user, items, "item_id"), (item, users, "user_id"))
        for file in _vector_files(side)
    }
    return Data(rows, users, items, dropped, vectors)


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
