"""Small data, on disk or in memory, made for one test."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from export.contract.tables import RecordTable
from training.config import DataConfig
from training.data import Data
from training.interactions import Interactions

Columns: TypeAlias = Mapping[str, Any] | pa.Table


def write(folder: Path, **tables: Columns) -> DataConfig:
    """Write tables (interactions, users, items, cold) as Parquet."""
    for name, columns in tables.items():
        table = columns if isinstance(columns, pa.Table) else pa.table(dict(columns))
        pyarrow.parquet.write_table(table, folder / f"{name}.parquet")
    return DataConfig(folder=folder)


def write_csv(folder: Path, **tables: str) -> DataConfig:
    """Write tables as CSV, from their text; every name is that of a CSV file then."""
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    names = {name: f"{name}.csv" for name in ("interactions", "users", "items")}
    return DataConfig(folder=folder, **names)


def no_records(ids: list[str]) -> RecordTable:
    """Make a table of ids that nothing is known of."""
    return RecordTable(ids, [{} for _ in ids], pa.table({}))


def make_data(
    user: Any,
    item: Any,
    *,
    timestamp: Any = None,
    label: Any = None,
    split: Sequence[str | None] | None = None,
    users: int | None = None,
    items: int | None = None,
) -> Data:
    """Make data of users u0, u1, ... and items i0, i1, ... from the positions of each row."""
    user, item = np.asarray(user, np.int32), np.asarray(item, np.int32)
    columns = {} if split is None else {"split": np.array(split, dtype=object)}
    rows = Interactions(
        user=user,
        item=item,
        label=np.ones(len(user), np.int8) if label is None else np.asarray(label, np.int8),
        weight=np.ones(len(user), np.float32),
        timestamp=None if timestamp is None else np.asarray(timestamp, np.float64),
        order=None,
        columns=columns,
    )
    users, items = users or int(user.max()) + 1, items or int(item.max()) + 1
    return Data(
        rows,
        no_records([f"u{n}" for n in range(users)]),
        no_records([f"i{n}" for n in range(items)]),
    )


def turn_test(folder: Path) -> None:
    """Make what was clicked in the test rows of a data folder not clicked, and the reverse."""
    rows = pyarrow.parquet.read_table(folder / "interactions.parquet")
    split, label = rows["split"].to_pylist(), rows["label"].to_pylist()
    turned = [1 - one if part == "test" else one for part, one in zip(split, label, strict=True)]
    assert turned != label
    place = rows.column_names.index("label")
    rows = rows.set_column(place, "label", pa.array(turned, rows.schema.field("label").type))
    pyarrow.parquet.write_table(rows, folder / "interactions.parquet")
