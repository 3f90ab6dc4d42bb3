"""Factors of the train rows, written as given vectors for losses and features to read."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from export.contract.errors import ConfigError, DataError
from export.contract.side import Side
from training.config import TrainConfig
from training.data import read_data
from training.split import TRAIN, make_split
from training.wmf import Vectors, WMFConfig, missing

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

ORIGIN = b"firstsight.factors"
"""The key in a Parquet file's metadata under which it says what it was fitted to."""


@dataclass(frozen=True)
class Clicks:
    """The clicked train rows: all that factors are made of.

    `user` and `item` [rows] are positions in the ids, `weight` [rows] is above 0.
    """

    user_ids: Sequence[str]
    item_ids: Sequence[str]
    user: NDArray[np.int32]
    item: NDArray[np.int32]
    weight: NDArray[np.float32]

    @classmethod
    def of(cls, config: TrainConfig) -> "Clicks":
        """Read interactions and split, and of users and items no more than their ids.

        Raises:
            DataError: The data cannot be used, or no train row was clicked.
        """
        data = read_data(config.data, Side(), Side())
        split, rows = make_split(config.split, data, config.data.folder), data.interactions
        kept = (split.part == TRAIN) & (rows.label > 0) & (rows.weight > 0)
        if not kept.any():
            raise DataError("factors: no train row has label 1 and a weight; nothing to fit to")
        return cls(
            data.users.ids, data.items.ids, rows.user[kept], rows.item[kept], rows.weight[kept]
        )

    def origin(self, options: WMFConfig) -> str:
        """Return the SHA-256 of these rows, their ids and the options."""
        found = hashlib.sha256(options.model_dump_json(exclude={"files"}).encode())
        for ids in (self.user_ids, self.item_ids):
            found.update("\n".join(ids).encode() + b"\0")
        for column in (self.user, self.item, self.weight):
            found.update(column.tobytes())
        return found.hexdigest()

    def matrix(self) -> "csr_matrix":
        """Return the sum of weights of each pair, float32[users, items]."""
        try:
            from scipy.sparse import csr_matrix
        except ModuleNotFoundError as error:
            raise missing(error) from error
        shape = len(self.user_ids), len(self.item_ids)
        return csr_matrix((self.weight, (self.user, self.item)), shape=shape)


def write_factors(config: TrainConfig, folder: Path, note: Callable[[str], None]) -> None:
    """Fit factors to the train rows and write them, unless they lie there already.

    Only who was clicked, or clicked, in a train row has a factor; whoever is new to validation or
    test has none. `note` is told what was done.

    Raises:
        ConfigError: The library that fits them is not installed.
        DataError: The data cannot be used.
    """
    options, clicks = config.factors or WMFConfig(), Clicks.of(config)
    origin = clicks.origin(options)
    paths = folder / options.files.users, folder / options.files.items
    if all(_origin_of(path) == origin for path in paths):
        note(f"factors: {paths[0]} and {paths[1].name} are of these rows and options already")
        return
    users, items = options.fit(clicks.matrix())
    seen = np.unique(clicks.user), np.unique(clicks.item)
    _write(paths[0], "user_id", clicks.user_ids, users, seen[0], origin)
    _write(paths[1], "item_id", clicks.item_ids, items, seen[1], origin)
    note(
        f"factors: {len(seen[0])} users and {len(seen[1])} items by {options.size} numbers, from "
        f"{len(clicks.user)} clicks in train rows; wrote {paths[0]} and {paths[1].name}"
    )


def fit_factors(config: TrainConfig, note: Callable[[str], None]) -> None:
    """Write what a configuration says of factors into its data folder, as `write_factors` does."""
    if config.factors is not None:
        write_factors(config, config.data.folder, note)


def require_factors(config: TrainConfig) -> None:
    """Refuse a configuration whose own factors have not been fitted; raises ConfigError."""
    if config.factors is None:
        return
    for file in config.factors.files.data_files:
        if not (config.data.folder / file).exists():
            raise ConfigError(
                f"factors: {config.data.folder / file}: not there yet; `firstsight factors` with "
                "this config fits them, as `firstsight train` does first of all"
            )


def _write(
    path: Path,
    id_column: str,
    ids: Sequence[str],
    vectors: Vectors,
    kept: NDArray[np.int32],
    origin: str,
) -> None:
    """Write a table of ids and vectors that says what it was fitted to, whole or not at all."""
    numbers = pa.array(vectors[kept].ravel(), pa.float32())
    table = pa.table(
        {
            id_column: pa.array([ids[one] for one in kept], pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(numbers, vectors.shape[1]),
        }
    ).replace_schema_metadata({ORIGIN: origin.encode()})
    partial = path.with_name(path.name + ".partial")
    pyarrow.parquet.write_table(table, partial)
    partial.replace(path)


def _origin_of(path: Path) -> str | None:
    """Return what a table of factors was fitted to; None where it does not say."""
    try:
        said: bytes = (pyarrow.parquet.read_schema(path).metadata or {}).get(ORIGIN, b"")
    except (pa.ArrowException, OSError):
        return None
    return said.decode() or None
