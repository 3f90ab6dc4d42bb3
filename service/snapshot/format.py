"""One snapshot: a folder of a Parquet table, a JSON manifest and the SHA-256 of both.

    items.parquet    id, rev, op, record (as Redis has it), vector (of this version; removals: none)
    manifest.json    what it is of, and up to where in the item log
    SHA256SUMS       of the two; `sha256sum -c SHA256SUMS` checks it too

Nothing is parsed before its SHA-256 is found right.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from pydantic import Field, ValidationError

from export.contract.bundle import Bundle
from export.contract.errors import ContractError, RecordError
from export.contract.side import Side
from export.contract.strict import Strict
from export.embedder import Vectors
from export.index.base import VectorError, check_vectors
from service.catalogue.checksum import Checksum
from service.records import ItemRecord, Unreadable, read_item, stored_item
from service.snapshot import disk
from service.store import LogId, Position

ITEMS, MANIFEST, SUMS = "items.parquet", "manifest.json", "SHA256SUMS"
MEMBERS = (ITEMS, MANIFEST)

ROW_GROUP = 2048

Row = tuple[ItemRecord, Vectors | None]


class SnapshotError(ContractError):
    """A snapshot cannot be used; says which and why."""


class SnapshotFacts(Strict):
    """What a snapshot is of."""

    format: Literal[1] = 1
    version: str
    """The bundle version whose vectors it holds."""
    bundle: str
    """A digest of that bundle's files: another bundle of the same version has other vectors."""
    dim: int = Field(ge=1)
    epoch: str
    """The epoch of the item log, as Latin-1."""
    cursor: str
    """The log id up to which everything is in here; later changes may be, too."""
    items: int = Field(ge=0)
    """Rows, removals too."""
    checksum: str
    """Of their ids and revs, as `/readyz` has it."""

    @property
    def position(self) -> Position:
        """Where the log goes on."""
        return Position(self.epoch.encode("latin-1"), LogId.parse(self.cursor))


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that was read and found whole."""

    folder: Path
    facts: SnapshotFacts
    rows: Sequence[Row]


def digest_of(bundle: Bundle) -> str:
    """Return a digest of what a bundle's manifest says of its files."""
    manifest = bundle.manifest
    told = [manifest.schema_hash, sorted(manifest.checksums.items())]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


class Writer:
    """Writes the rows of a snapshot; `finish` makes it whole."""

    def __init__(self, folder: Path, dim: int) -> None:
        self._folder = folder
        self._dim = dim
        self._checksum = Checksum()
        self._items = 0
        self._begin_group()
        self._schema = pa.schema(
            [
                ("id", pa.string()),
                ("rev", pa.int64()),
                ("op", pa.string()),
                ("record", pa.string()),
                ("vector", pa.list_(pa.float32(), dim)),
            ]
        )
        self._file = disk.NewFile(folder / ITEMS)
        self._table = pyarrow.parquet.ParquetWriter(self._file, self._schema)

    def add(self, rows: Sequence[Row]) -> None:
        """Take over rows; as many as make a row group are written."""
        vectors = np.zeros((len(rows), self._dim), np.float32)
        for place, (item, vector) in enumerate(rows):
            self._checksum.add(item.id, item.rev)
            self._records.append(stored_item(item).decode())
            if vector is not None:
                vectors[place] = vector
        self._ids += [item.id for item, _ in rows]
        self._revs += [item.rev for item, _ in rows]
        self._ops += [item.op for item, _ in rows]
        self._vectors.append(vectors)
        if len(self._ids) >= ROW_GROUP:
            self._write_group()

    def _write_group(self) -> None:
        vectors = np.concatenate([np.empty((0, self._dim), np.float32), *self._vectors])
        columns = [
            pa.array(self._ids, pa.string()),
            pa.array(self._revs, pa.int64()),
            pa.array(self._ops, pa.string()),
            pa.array(self._records, pa.string()),
            pa.FixedSizeListArray.from_arrays(
                pa.array(vectors.ravel()),
                self._dim,
                mask=pa.array([op == "delete" for op in self._ops], pa.bool_()),
            ),
        ]
        self._table.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        self._items += len(self._ids)
        self._begin_group()

    def _begin_group(self) -> None:
        self._ids: list[str] = []
        self._revs: list[int] = []
        self._ops: list[str] = []
        self._records: list[str] = []
        self._vectors: list[Vectors] = []

    def finish(self, bundle: Bundle, position: Position) -> None:
        """Write the manifest and the sums, and read back what the disk holds.

        Raises:
            SnapshotError: The disk holds something else than was written.

        """
        self._write_group()
        self._table.close()
        self._file.close()
        facts = SnapshotFacts(
            version=bundle.version,
            bundle=digest_of(bundle),
            dim=self._dim,
            epoch=(position.epoch or b"").decode("latin-1"),
            cursor=str(position.cursor),
            items=self._items,
            checksum=str(self._checksum),
        )
        manifest = _written(self._folder / MANIFEST, facts.model_dump_json(indent=1) + "\n")
        sums = {ITEMS: self._file.digest, MANIFEST: manifest}
        _written(self._folder / SUMS, _as_text(sums))
        check_sums(self._folder)

    def drop(self) -> None:
        """Let go of the file, whatever is in it."""
        self._file.drop()


def _written(path: Path, text: str) -> str:
    """Write a file; return its SHA-256."""
    file = disk.NewFile(path)
    try:
        file.write(text.encode())
        file.close()
    finally:
        file.drop()
    return file.digest


def _as_text(sums: dict[str, str]) -> str:
    return "".join(f"{sums[name]}  {name}\n" for name in MEMBERS)


def check_sums(folder: Path) -> None:
    """Check that a snapshot's files are there as they were written.

    Raises:
        SnapshotError: Says which is not.

    """
    try:
        found = {}
        for name in MEMBERS:
            with (folder / name).open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
        told = (folder / SUMS).read_bytes()
    except OSError as error:
        raise SnapshotError(f"{error.filename}: {error.strerror}") from error
    for name, digest in found.items():
        if f"{digest}  {name}\n".encode() not in told:
            raise SnapshotError(f"{folder / name}: changed since it was written")
    if told != _as_text(found).encode():
        raise SnapshotError(f"{folder / SUMS}: changed since it was written")


def read_facts(folder: Path) -> SnapshotFacts:
    """Read a manifest; whether its file is whole is for `check_sums` to say.

    Raises:
        SnapshotError: It cannot be read, or is of another format.

    """
    path = folder / MANIFEST
    try:
        facts = SnapshotFacts.model_validate_json(path.read_bytes())
        LogId.parse(facts.cursor)
    except OSError as error:
        raise SnapshotError(f"{path}: {error.strerror}") from error
    except (ValidationError, ValueError) as error:
        raise SnapshotError(f"{path}: no manifest that this code reads: {error}") from error
    return facts


def read_snapshot(folder: Path, bundle: Bundle) -> Snapshot:
    """Read and check a snapshot of a bundle.

    Raises:
        SnapshotError: A file is missing or changed, it is of another bundle, or it holds what
            could not have been written; nothing of it may be used.

    """
    check_sums(folder)
    facts = read_facts(folder)
    told = (facts.version, facts.bundle, facts.dim)
    if told != (bundle.version, digest_of(bundle), bundle.schema.dim):
        raise SnapshotError(f"{folder}: of another bundle than this {bundle.version}")
    with _refusing(folder):
        rows = list(_rows(folder / ITEMS, bundle.schema.item, facts.dim))
    checksum = Checksum()
    for item, _ in rows:
        checksum.add(item.id, item.rev)
    if (len(rows), str(checksum)) != (facts.items, facts.checksum):
        raise SnapshotError(f"{folder}: its rows are not those that its manifest tells of")
    return Snapshot(folder, facts, rows)


@contextmanager
def _refusing(folder: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, Unreadable, RecordError, VectorError) as error:
        raise SnapshotError(f"{folder / ITEMS}: {error}") from error
    except (LookupError, ValueError, TypeError, AttributeError) as error:  # of another shape
        raise SnapshotError(f"{folder / ITEMS}: {error}") from error


def _rows(path: Path, side: Side, dim: int) -> Iterator[Row]:
    # No threads: Arrow's pools would not survive the fork that follows.
    with pyarrow.parquet.ParquetFile(path, pre_buffer=False) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, use_threads=False).combine_chunks()
            columns: list[list[Any]] = [table.column(name).to_pylist() for name in ("id", "record")]
            given = table.column("vector").combine_chunks()
            vectors = np.array(given.values.fill_null(0), np.float32).reshape(-1, dim)
            is_put = given.is_valid().to_numpy(zero_copy_only=False)
            check_vectors(vectors[is_put], dim, str(path))
            for place, (one, record) in enumerate(zip(*columns, strict=True)):
                item = read_item(side, one, record.encode())
                if (item.op == "put") != is_put[place]:
                    raise Unreadable(f"item {one!r}: its op and its vector contradict each other")
                yield item, vectors[place] if item.op == "put" else None
