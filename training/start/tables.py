"""The three tables of a data folder, found by their names, whatever their columns are."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from export.contract.errors import DataError
from export.contract.tables import read_ids, read_table, unique_ids
from training.start.column import Column, columns_of

SUFFIXES = (".parquet", ".csv")


@dataclass(frozen=True, eq=False)
class TableFile:
    """One table and the file it lies in."""

    path: Path
    table: pa.Table

    @classmethod
    def find(cls, folder: Path, name: str) -> "TableFile":
        """Read `NAME.parquet` or `NAME.csv`.

        Raises:
            DataError: There is neither, or both; or it cannot be read or has no row.
        """
        found = [folder / f"{name}{s}" for s in SUFFIXES if (folder / f"{name}{s}").is_file()]
        if not found:
            raise DataError(f"{folder}: no {name}.parquet and no {name}.csv")
        if len(found) > 1:
            raise DataError(f"{folder}: both {name}.parquet and {name}.csv; keep one")
        table = read_table(found[0])
        if not len(table):
            raise DataError(f"{found[0]}: got no row, expected at least one")
        return cls(found[0], table)

    @cached_property
    def columns(self) -> dict[str, Column]:
        """The columns, by name."""
        return columns_of(self.table, is_typed=self.path.suffix == ".parquet")


@dataclass(frozen=True, eq=False)
class Tables:
    """What `firstsight init` reads."""

    folder: Path
    interactions: TableFile
    users: TableFile
    items: TableFile

    @classmethod
    def read(cls, folder: Path) -> "Tables":
        """Read the three tables and check their ids.

        Raises:
            DataError: Names file, column, row, what came and what would be right.
        """
        if not folder.is_dir():
            raise DataError(
                f"{folder}: no such folder; expected one with interactions, users, items"
            )
        names = ("interactions", "users", "items")
        interactions, users, items = (TableFile.find(folder, name) for name in names)
        for one, column in ((users, "user_id"), (items, "item_id")):
            unique_ids(read_ids(one.table, column, one.path), column, one.path)
        for column in ("user_id", "item_id"):
            read_ids(interactions.table, column, interactions.path)
        return cls(folder, interactions, users, items)

    @cached_property
    def cold_file(self) -> str | None:
        """The name of a table of cold ids (kind, id), if the folder has one."""
        for suffix in SUFFIXES:
            path = self.folder / f"cold{suffix}"
            if path.is_file() and {"kind", "id"} <= set(read_table(path).column_names):
                return path.name
        return None
