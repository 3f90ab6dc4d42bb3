"""The bundle: one immutable, named, checksummed folder that the service can serve."""

import os
import shutil
import tempfile
import tokenize
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from export.contract.concepts import ConceptTable, read_concepts
from export.contract.errors import BundleError, ContractError
from export.contract.features import Feature
from export.contract.manifest import (
    BUNDLE_FORMAT,
    LOG_ID,
    VERSION,
    BundleLayout,
    IndexReport,
    Lineage,
    Manifest,
    check_version,
    checksum,
    checksums,
    parse_manifest,
    read_manifest,
    write_manifest,
)
from export.contract.ranker import RankerFacts, read_facts
from export.contract.schema import Schema, hash_of, read_schema
from export.contract.tables import read_ids, read_table

__all__ = [
    "BUNDLE_FORMAT",
    "LOG_ID",
    "UNIT_NORM",
    "VERSION",
    "Bundle",
    "BundleLayout",
    "IndexReport",
    "Lineage",
    "Manifest",
    "RankedItems",
    "check_target",
    "check_version",
    "checksum",
    "checksums",
    "new_folder",
    "parse_manifest",
    "read_bundle",
    "read_manifest",
    "write_manifest",
]

UNIT_NORM = (0.99, 1.01)

NO_ARRAY = (
    *(ValueError, TypeError, EOFError, OSError, OverflowError, MemoryError, RecursionError),
    *(SyntaxError, tokenize.TokenError),
)
"""What numpy raises for a file that is none: it reads the head as Python and believes its shape."""


@dataclass(frozen=True)
class Bundle:
    """A bundle that has been read and found whole; `vectors` rows are those of `ids`.

    `records` holds the catalogue's feature columns, `popularity` the share of interactions in
    0..1, `first_seen` seconds since 1970 (NaN: unknown). `vectors` are read-only, and mapped from
    their file where the index searches them too. `item_vectors` are the given vectors
    behind a user's preference, by feature, NaN for an item without one. `ranker` may be None.
    """

    layout: BundleLayout
    manifest: Manifest
    schema: Schema
    ids: list[str]
    records: pa.Table
    popularity: NDArray[np.float32]
    first_seen: NDArray[np.float64]
    vectors: NDArray[np.float32]
    concepts: ConceptTable
    item_vectors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    ranker: "RankedItems | None" = None

    @property
    def version(self) -> str:
        """The bundle's name."""
        return self.manifest.version


@dataclass(frozen=True)
class RankedItems:
    """What a bundle's ranker is, and the codes of the items: float32[items, width]."""

    facts: RankerFacts
    codes: NDArray[np.float32]


def check_target(target: Path) -> None:
    """Check that a bundle may be written there.

    Raises:
        BundleError: The folder's name is no version, or something is there already.

    """
    check_version(target.name)
    if target.exists():
        raise BundleError(f"{target}: exists already; a bundle never changes, choose another name")


@contextmanager
def new_folder(target: Path, inside: Path | None = None) -> Iterator[Path]:
    """Give a temporary folder that becomes `target` in one rename, or vanishes on any error.

    It is made beside `target`, or `inside` another folder of the same file system. A process
    that is killed leaves it behind; its name begins with a dot and so is no version.

    Raises:
        BundleError: `target` exists already, or its name is no version.

    """
    check_target(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=inside or target.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        for path in (*sorted(temporary.rglob("*")), temporary):
            _sync(path)
        try:
            temporary.rename(target)
        except OSError as error:
            raise BundleError(f"{target}: {error.strerror}; was it written meanwhile?") from error
        _sync(target.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_bundle(folder: Path, *, opens_index: bool = False) -> Bundle:
    """Read a bundle: format, checksums, schema, shapes, finiteness and unit norms.

    Args:
        folder: The bundle's.
        opens_index: As in `read_manifest`.

    Raises:
        BundleError: Names the member and what is wrong with it.

    """
    layout, manifest = BundleLayout(folder), read_manifest(folder, opens_index=opens_index)
    try:
        schema = read_schema(layout.schema)
        table = read_table(layout.items)
        ids = read_ids(table, "id", layout.items)
        concepts = read_concepts(layout.concepts, schema)
    except ContractError as error:
        raise BundleError(str(error)) from error
    named = (manifest.schema_hash, manifest.dim, manifest.similarity)
    if (hash_of(layout.schema.read_bytes()), schema.dim, schema.similarity) != named:
        raise BundleError(f"{layout.schema}: is not the one the manifest names")
    if len(ids) != manifest.items:
        raise BundleError(
            f"{layout.items}: holds {len(ids)} items, the manifest says {manifest.items}"
        )
    if len(set(ids)) != len(ids):
        raise BundleError(f"{layout.items}: an id stands twice")
    own = ["id", "popularity", "first_seen", "preference_as_of"]
    return Bundle(
        layout=layout,
        manifest=manifest,
        schema=schema,
        ids=ids,
        records=table.drop_columns([name for name in own if name in table.column_names]),
        popularity=_popularity(table, layout.items),
        first_seen=_floats(table, "first_seen", layout.items),
        vectors=_read_vectors(
            layout.vectors, (len(ids), schema.dim), is_mapped=manifest.index.is_beside_vectors
        ),
        concepts=concepts,
        item_vectors={
            name: _given_vectors(layout.item_vectors(name), len(ids), schema.user.features[name])
            for name in schema.user.item_vectors
        },
        ranker=_ranked_items(layout, manifest, schema),
    )


def _ranked_items(layout: BundleLayout, manifest: Manifest, schema: Schema) -> RankedItems | None:
    if layout.ranker.name not in manifest.checksums:
        return None
    facts, path = read_facts(layout.ranker_facts, schema), layout.ranker_items
    codes, shape = _load(path), (manifest.items, facts.width)
    if codes.dtype != np.float32 or codes.shape != shape or not np.isfinite(codes).all():
        got = f"{codes.dtype}{list(codes.shape)}"
        raise BundleError(f"{path}: got {got}, expected finite float32{list(shape)}")
    return RankedItems(facts, codes)


def _floats(table: pa.Table, name: str, path: Path) -> NDArray[np.float64]:
    try:
        column = table.column(name).cast(pa.float64())
    except (KeyError, pa.ArrowException) as error:
        raise BundleError(f"{path}: expected a column {name!r} of numbers") from error
    values: NDArray[np.float64] = column.to_numpy(zero_copy_only=False).astype(np.float64)
    return values


def _popularity(table: pa.Table, path: Path) -> NDArray[np.float32]:
    values = _floats(table, "popularity", path)
    bad = np.flatnonzero(~((values >= 0) & (values <= 1)))
    if bad.size:
        got = f"row {bad[0] + 1}: got {values[bad[0]]}"
        raise BundleError(f"{path}: column 'popularity', {got}, expected a share in 0..1")
    return values.astype(np.float32)


def _given_vectors(path: Path, items: int, feature: Feature) -> NDArray[np.float32]:
    vectors, shape = _load(path), (items, getattr(feature, "size", None))
    if vectors.dtype != np.float32 or vectors.shape != shape or np.isinf(vectors).any():
        got = f"{vectors.dtype}{list(vectors.shape)}"
        raise BundleError(f"{path}: got {got}, expected finite float32{list(shape)}, or NaN")
    return vectors


def _read_vectors(path: Path, shape: tuple[int, int], *, is_mapped: bool) -> NDArray[np.float32]:
    # A file of no vectors cannot be mapped.
    vectors = _load(path, mmap_mode="r" if is_mapped and shape[0] else None)
    _check_vectors(path, vectors, shape)
    vectors.flags.writeable = False
    return np.asarray(vectors)


def _load(path: Path, mmap_mode: Literal["r"] | None = None) -> NDArray[Any]:
    try:
        vectors = np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    except NO_ARRAY as error:
        raise BundleError(f"{path}: {str(error) or type(error).__name__}") from error
    if not isinstance(vectors, np.ndarray):
        raise BundleError(f"{path}: holds several arrays, expected one")
    return vectors


def _check_vectors(path: Path, vectors: NDArray[Any], shape: tuple[int, int]) -> None:
    if vectors.dtype != np.float32 or vectors.shape != shape:
        got = f"{vectors.dtype}{list(vectors.shape)}"
        raise BundleError(f"{path}: got {got}, expected float32{list(shape)}")
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))  # a fifth of what linalg.norm takes
    bad = np.flatnonzero(~((norms >= UNIT_NORM[0]) & (norms <= UNIT_NORM[1])))
    if bad.size:
        raise BundleError(f"{path}: row {bad[0] + 1} has length {norms[bad[0]]}, expected 1")
