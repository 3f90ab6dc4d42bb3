"""The interactions, read a part of the file at a time into columns that are maps of files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from export.contract.column_stream import stream_tables
from export.contract.errors import DataError
from export.contract.features import FeatureKind, Raw
from export.contract.features.column import distinct
from export.contract.side import SideName
from export.contract.tables import id_column
from training.columns import Carried, Column, Columns
from training.mapped import Growing, GrowingColumns
from training.repeats import digests, first_of_equals

OWN = {"user_id", "item_id", "label", "weight", "timestamp", "order"}
ROWS = 1 << 18  # of the file that are in memory at a time

Features = Mapping[SideName, Mapping[str, FeatureKind]]


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


def read_interactions(
    path: Path, users: Sequence[str], items: Sequence[str], carried: Features
) -> tuple[Interactions, dict[str, int]]:
    """Read the rows whose ids `users` and `items` list, of equal ones the first.

    Returns how many others there are, too, by reason: each counts under the first that holds.

    Raises:
        DataError: Names file, column, row, what came and what would be right; or no row is left.
    """
    reader = _Reader(path, users, items, carried)
    for table in stream_tables(path, _rows_at_a_time(path)):
        reader.add(table)
    return reader.finish()


def _rows_at_a_time(path: Path) -> int | None:
    """Return None, for all, where moments are text: whether they are numbers, all rows tell."""
    if path.suffix != ".parquet" or not path.is_file():
        return None
    kinds = pyarrow.parquet.read_schema(path)
    at = kinds.get_field_index("timestamp")
    is_text = at >= 0 and not pa.types.is_primitive(kinds.field(at).type)
    return None if is_text else ROWS


class _Reader:
    """What is read so far."""

    def __init__(
        self, path: Path, users: Sequence[str], items: Sequence[str], carried: Features
    ) -> None:
        self.path, self.features = path, carried
        self.known = {
            "user_id": {one: at for at, one in enumerate(users)},
            "item_id": {one: at for at, one in enumerate(items)},
        }
        self.rows = 0
        self.dropped = {"unknown_user": 0, "unknown_item": 0, "exact_repeat": 0}
        self.plain = GrowingColumns()
        self.others: dict[str, list[Column]] = {}
        self.parsed = {
            (side, name): _Parsed(name, kind)
            for side, features in carried.items()
            for name, kind in features.items()
        }

    def add(self, table: pa.Table) -> None:
        """Take the next rows of the file."""
        columns = Columns(table, self.path, self.rows)
        user, item = self._positions(table, "user_id"), self._positions(table, "item_id")
        kept = np.flatnonzero((user >= 0) & (item >= 0))
        self.dropped["unknown_user"] += int((user < 0).sum())
        self.dropped["unknown_item"] += int(((item < 0) & (user >= 0)).sum())
        found: dict[str, Column | None] = {
            "user": user,
            "item": item,
            "label": columns.labels(),
            "weight": columns.weights(),
            "timestamp": columns.timestamps(),
            "order": columns.orders(),
            "digest": digests(table.drop_columns(["user_id", "item_id"])),
        }
        for (side, name), parsed in self.parsed.items():
            found[f"{side} {name}"] = parsed.add(columns)
        self.plain.append({name: one[kept] for name, one in found.items() if one is not None})
        for name, column in columns.others(kept, OWN).items():
            self.others.setdefault(name, []).append(column)
        self.rows += len(table)

    def finish(self) -> tuple[Interactions, dict[str, int]]:
        """Leave repeats out."""
        read: dict[str, Any] = self.plain.read()
        others = {name: _joined(parts) for name, parts in self.others.items()}
        first = first_of_equals(read["user"], read["item"], read.pop("digest"))
        if first is not None:
            self.dropped["exact_repeat"] = len(first) - int(first.sum())
            read = {name: _only(column, first) for name, column in read.items()}
            others = {name: column[first] for name, column in others.items()}
        if not len(read["user"]):
            raise DataError(f"{self.path}: no row is left of {self.rows} ({self.dropped})")
        carried: dict[SideName, dict[str, Carried]] = {side: {} for side in self.features}
        for (side, name), parsed in self.parsed.items():
            carried[side][name] = Carried(read[f"{side} {name}"], parsed.values)
        rows = Interactions(
            user=read["user"],
            item=read["item"],
            label=read["label"],
            weight=read["weight"],
            timestamp=read.get("timestamp"),
            order=read.get("order"),
            columns=others,
            carried=carried,
        )
        return rows, self.dropped

    def _positions(self, table: pa.Table, column: str) -> NDArray[np.int32]:
        """Return the position of each row's id among the known ones, -1 for none."""
        if column in table.column_names:
            cells, code = distinct(table.column(column))
            kind = table.schema.field(column).type
            kind = kind.value_type if pa.types.is_dictionary(kind) else kind
            try:  # each distinct id is checked and looked up once
                ids = id_column(pa.table({column: pa.array(cells, kind)}), column, self.path)
            except DataError:
                ids = None
            if ids is not None:
                known = self.known[column]
                at = [known.get(one, -1) for one in ids.to_pylist()]
                return np.array(at, dtype=np.int32)[code]
        id_column(table, column, self.path, before=self.rows)  # raises, and names the row
        raise AssertionError


class _Parsed:
    """A feature's distinct cells so far, parsed; each has a number."""

    def __init__(self, name: str, kind: FeatureKind) -> None:
        self.name, self.kind = name, kind
        self.values: list[Raw] = []
        self._numbers: dict[object, int] = {}

    def add(self, columns: Columns) -> NDArray[np.int32]:
        """Return the number of each row's cell."""
        cells, values, code = columns.parsed(self.name, self.kind)
        numbers = [self._number(cell, value) for cell, value in zip(cells, values, strict=True)]
        return np.array(numbers, dtype=np.int32)[code]

    def _number(self, cell: object, value: Raw) -> int:
        new = len(self.values)
        number = new if isinstance(cell, list | dict) else self._numbers.setdefault(cell, new)
        if number == new:
            self.values.append(value)
        return number


def _joined(parts: Sequence[Column]) -> Column:
    """Put parts of a column under each other; whole numbers among nulls are objects, as those."""
    kinds = {part.dtype for part in parts}
    return np.concatenate([part.astype(object) for part in parts] if len(kinds) > 1 else parts)


def _only(column: Column, mask: NDArray[np.bool_]) -> Column:
    """Return the rows of a mask, in a file of their own."""
    growing = Growing()
    for start in range(0, len(mask), ROWS):
        part = slice(start, start + ROWS)
        growing.append(column[part][mask[part]])
    return growing.read()
