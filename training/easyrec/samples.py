"""The flat table of samples that EasyRec reads, parted into interactions, users and items."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from export.contract.errors import DataError
from export.contract.features.column import distinct
from export.contract.side import SIDES, SideName
from training.easyrec.dataset import Dataset
from training.easyrec.features import Column
from training.easyrec.plan import Plan


@dataclass(frozen=True)
class Samples:
    """The columns that the configuration names, as text; `path` is there for messages."""

    table: pa.Table
    path: Path

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a column."""
        return self.table.column(name)


def read_samples(path: Path, dataset: Dataset) -> Samples:
    """Read the samples as text: Parquet, or a text file as `data_config` describes it.

    Raises:
        DataError: The file cannot be read, or lacks a column that the configuration names.

    """
    try:
        is_parquet = path.suffix == ".parquet"
        table = pq.read_table(path) if is_parquet else _read_text(path, dataset)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: {' '.join(str(error).split())}") from error
    for name in dataset.columns:
        if name not in table.column_names:
            have = ", ".join(table.column_names)
            raise DataError(f"{path}: no column {name!r}; the columns are {have}")
    columns = [_as_text(table.column(name), name, path) for name in dataset.columns]
    return Samples(pa.table(dict(zip(dataset.columns, columns, strict=True))), path)


def _read_text(path: Path, dataset: Dataset) -> pa.Table:
    if len(dataset.separator) != 1:
        raise DataError(
            f"{path}: data_config.separator: got {dataset.separator!r}, expected one character; "
            "write the samples as Parquet instead"
        )
    lines = pyarrow.csv.ParseOptions(
        delimiter=dataset.separator, quote_char='"' if dataset.is_quoted else False
    )
    names = None if dataset.has_header else list(dataset.columns)
    options = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(dataset.columns, pa.string()), strings_can_be_null=False
    )
    read = pyarrow.csv.ReadOptions(column_names=names)
    return pyarrow.csv.read_csv(
        path, read_options=read, parse_options=lines, convert_options=options
    )


def _as_text(column: pa.ChunkedArray, name: str, path: Path) -> pa.ChunkedArray:
    if pa.types.is_nested(column.type):
        raise DataError(f"{path}: column {name!r}: got {column.type}, expected text or numbers")
    return pc.fill_null(column.cast(pa.string()), "")


def write_tables(samples: Samples, plan: Plan, folder: Path) -> list[str]:
    """Write the three tables as Parquet; return what is worth knowing of them, line by line.

    A preference stands on the interactions, as it was when they happened, and on its own table
    as it was last. Content has one value for each user or item: the last one, in the order of
    `timestamp` if there is one, else of the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if plan.dataset.has_time:
        samples = _by_time(samples)
    ids = {side: samples.column(plan.sides[side].id) for side in SIDES}
    rows = {f"{side}_id": ids[side] for side in SIDES}
    rows["label"] = samples.column(plan.dataset.label)
    if plan.dataset.weight:
        rows["weight"] = samples.column(plan.dataset.weight)
    if plan.dataset.has_time:
        rows["timestamp"] = samples.column("timestamp")
    told: list[str] = []
    for side in SIDES:
        made = {n: _made(samples, c) for n, c in plan.sides[side].columns.items()}
        rows |= {name: made[name] for name in plan.sides[side].given("preference")}
        last = _last_rows(ids[side])
        table = pa.table({f"{side}_id": ids[side], **made}).take(pa.array(last))
        pq.write_table(table, folder / f"{side}s.parquet")
        content = {name: made[name] for name in plan.sides[side].given("content")}
        told += _changing(side, ids[side], content)
    pq.write_table(pa.table(rows), folder / "interactions.parquet")
    return told


def _by_time(samples: Samples) -> Samples:
    try:
        order = np.argsort(samples.column("timestamp").cast(pa.float64()).to_numpy(), kind="stable")
    except pa.ArrowInvalid:  # dates as text sort as they are
        order = np.argsort(samples.column("timestamp").to_numpy(), kind="stable")
    return Samples(samples.table.take(pa.array(order)), samples.path)


def _last_rows(ids: pa.ChunkedArray) -> np.ndarray:
    """Return the last row of each id, in order of its first."""
    cells, code = distinct(ids)
    last = np.zeros(len(cells), dtype=np.int64)
    last[code] = np.arange(len(code))
    return last


def _changing(
    side: SideName, ids: pa.ChunkedArray, content: dict[str, pa.ChunkedArray]
) -> Iterator[str]:
    """Name the content columns that hold several values of one entity."""
    entities, code = distinct(ids)
    for name, column in content.items():
        values, value = distinct(column)
        pairs = np.unique(code.astype(np.int64) * len(values) + value)
        several = int((np.bincount(pairs // len(values)) > 1).sum())
        if several:
            yield (
                f"{side}.content.{name}: several values for {several} of {len(entities)} {side}s, "
                "of which the last is kept; what changes with behaviour is preference, and what "
                "comes with the request context"
            )


def _made(samples: Samples, column: Column) -> pa.ChunkedArray:
    """Return one column of ours."""
    if column.computed is not None:
        cells = [samples.column(name).to_pylist() for name in column.inputs]
        try:
            return pa.chunked_array([pa.array(column.computed(cells), pa.string())])
        except ValueError as error:
            raise DataError(f"{samples.path}: column {column.name!r}: {error}") from error
    first = samples.column(column.inputs[0])
    if len(column.inputs) == 2:
        return _weighted(first, samples.column(column.inputs[1]), column, samples.path)
    if column.is_vector:
        return pc.replace_substring(first, column.separator, " ")
    if column.pairs is not None:
        return _each(first, lambda cell: _bag(_pairs(cell, column), column, samples.path))
    return first


def _weighted(
    words: pa.ChunkedArray, weights: pa.ChunkedArray, column: Column, path: Path
) -> pa.ChunkedArray:
    found = []
    for row, (one, other) in enumerate(zip(words.to_pylist(), weights.to_pylist(), strict=True)):
        parts = [cell.split(column.separator) if cell else [] for cell in (one, other)]
        if len(parts[0]) != len(parts[1]):
            raise DataError(
                f"{path}: row {row + 1}: {column.inputs[0]!r} has {len(parts[0])} words and "
                f"{column.inputs[1]!r} {len(parts[1])} weights; expected as many"
            )
        found.append(_bag(zip(*parts, strict=True), column, path))
    return pa.chunked_array([pa.array(found, pa.string())])


def _pairs(cell: str, column: Column) -> Iterator[tuple[str, str]]:
    for part in filter(None, cell.split(column.separator)):
        word, _, weight = part.rpartition(str(column.pairs))
        yield word, weight


def _bag(pairs: Iterable[tuple[str, str]], column: Column, path: Path) -> str:
    """Write words with their weights; those of a word that stands twice add up, 0 is nothing."""
    found: dict[str, float] = {}
    for word, weight in pairs:
        try:
            found[word] = found.get(word, 0.0) + float(weight)
        except ValueError:
            raise DataError(
                f"{path}: column {column.inputs[-1]!r}: got {weight!r}, expected a weight"
            ) from None
    return column.separator.join(f"{word}:{weight!r}" for word, weight in found.items() if weight)


def _each(column: pa.ChunkedArray, change: Callable[[str], str]) -> pa.ChunkedArray:
    """Change every cell, each distinct one once."""
    cells, code = distinct(column)
    changed: Sequence[str] = [change(cell) for cell in cells]
    return pa.chunked_array([pa.array(changed, pa.string()).take(pa.array(code))])
