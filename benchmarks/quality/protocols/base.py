"""What a protocol is: a source turned into tables, a split, and what was published on it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Tables:
    """A data set in firstsight's three tables, the interactions in two.

    `train` and `test` have the columns of interactions but `split`. `both` are further files of
    train and test, `beside` those of test alone, by name.
    """

    users: pa.Table
    items: pa.Table
    train: pa.Table
    test: pa.Table
    both: Mapping[str, pa.Table] = field(default_factory=dict)
    beside: Mapping[str, pa.Table] = field(default_factory=dict)

    def write(self, train: Path, test: Path) -> None:
        """Write two data folders: that of `train` holds no row that tests."""
        told = {"train": _parted(self.train, "train"), "test": _parted(self.test, "test")}
        shared = {"users": self.users, "items": self.items, **self.both}
        _write(train, {"interactions": told["train"], **shared})
        rows = pa.concat_tables(told.values())
        _write(test, {"interactions": rows, **shared, **self.beside})


@dataclass(frozen=True)
class Content:
    """What of the items is looked at: in words, and by which configuration.

    `rows` is the configuration with the features of a rival that scores rows, if there is one.
    """

    described: str
    config: str
    rows: str | None = None


@dataclass(frozen=True)
class Published:
    """Figures that others published on this protocol: (slice, figure) to what was said.

    `content` names the choice they stand beside; None: any.
    """

    name: str
    figures: Mapping[tuple[str, str], str]
    remark: str
    content: str | None = None


@dataclass(frozen=True)
class Protocol:
    """A data set, what is trained on and tested, and how.

    `source` is its folder of the data folder, `split` the options of a given split beside its
    column, `slices` and `figures` those that its tables tell. `head` is the ranker of our run whose
    GAUC is compared, None: the towers' own. `selected_on` names the protocol on which presets are
    selected for this one, too, as one file of ours is for both; None: on this one.
    """

    name: str
    source: str
    title: str
    described: str
    tables: Callable[[Path], Tables]
    split: Mapping[str, Any]
    contents: Mapping[str, Content]
    slices: tuple[str, ...]
    figures: tuple[str, ...]
    published: tuple[Published, ...] = ()
    head: str | None = None
    selected_on: str | None = None


def ids(column: Any) -> pa.Array:
    """Return ids as text."""
    return pa.array([str(one) for one in column], pa.string())


def pairs(user: Any, item: Any) -> pa.Table:
    """Return a table of user and item ids."""
    return pa.table({"user_id": ids(user), "item_id": ids(item)})


def _parted(rows: pa.Table, name: str) -> pa.Table:
    return rows.append_column("split", pa.array([name] * rows.num_rows, pa.string()))


def _write(folder: Path, tables: Mapping[str, pa.Table]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        part = folder / f"{name}.part"
        pq.write_table(table, part)
        part.replace(folder / f"{name}.parquet")
