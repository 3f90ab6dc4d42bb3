"""Small data folders, written for one test."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from training.config import DataConfig

Columns = Mapping[str, Any] | pa.Table


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
