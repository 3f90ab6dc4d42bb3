"""The bundle: one immutable, named, checksummed folder that the service can serve."""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray
from pydantic import ValidationError

from export.contract.errors import BundleError
from export.contract.schema import Schema, explain, read_schema
from export.contract.strict import Strict
from export.contract.tables import read_ids

BUNDLE_FORMAT = 1
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
UNIT_NORM = (0.99, 1.01)


@dataclass(frozen=True)
class BundleLayout:
    """Where the members of a bundle lie."""

    folder: Path

    @property
    def manifest(self) -> Path:
        """Version, checksums, index settings, lineage."""
        return self.folder / "manifest.json"

    @property
    def schema(self) -> Path:
        """The features, as the run wrote them."""
        return self.folder / "schema.json"

    def tower(self, side: str) -> Path:
        """Return the ONNX file of one side: raw record in, unit vector out."""
        return self.folder / f"{side}_tower.onnx"

    @property
    def items(self) -> Path:
        """Raw records of the catalogue, with popularity and first seen."""
        return self.folder / "items.parquet"

    @property
    def vectors(self) -> Path:
        """float32[items, dim], in the order of `items`."""
        return self.folder / "vectors.npy"

    @property
    def index(self) -> Path:
        """A cache of the built index; may be absent."""
        return self.folder / "index" / "main.bin"

    @property
    def config(self) -> Path:
        """The configuration of the run, which evaluation reads its split from."""
        return self.folder / "config.yaml"

    @property
    def golden(self) -> Path:
        """Queries with the answers they must give."""
        return self.folder / "golden.json"

    @property
    def parity(self) -> Path:
        """The proof that the ONNX towers equal the trained ones."""
        return self.folder / "parity.json"

    @property
    def metrics(self) -> Path:
        """The metrics of the run."""
        return self.folder / "metrics.json"


class IndexReport(Strict):
    """How the catalogue is searched, and how well that was measured to work."""

    settings: dict[str, Any]
    target_recall: float
    measured_recall: float
    k: int
    curve: list[dict[str, Any]] = []


class Lineage(Strict):
    """Where a bundle comes from."""

    run: str
    data: str
    trained_at: datetime | None = None
    exported_at: datetime
    code: str


class Manifest(Strict):
    """What a bundle holds; its checksums cover every other member."""

    format: Literal[1] = 1
    version: str
    schema_hash: str
    dim: int
    items: int
    similarity: Literal["cosine"] = "cosine"
    index: IndexReport
    lineage: Lineage
    checksums: dict[str, str]


@dataclass(frozen=True)
class Bundle:
    """A bundle that has been read and found whole; `vectors` rows are those of `ids`.

    `records` holds the catalogue's feature columns, `popularity` the share of interactions in
    0..1, `first_seen` seconds since 1970 (NaN: unknown).
    """

    layout: BundleLayout
    manifest: Manifest
    schema: Schema
    ids: list[str]
    records: pa.Table
    popularity: NDArray[np.float32]
    first_seen: NDArray[np.float64]
    vectors: NDArray[np.float32]

    @property
    def version(self) -> str:
        """The bundle's name."""
        return self.manifest.version


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Give a temporary folder that becomes `target` in one rename, or vanishes on any error.

    Raises:
        BundleError: `target` exists already.

    """
    if target.exists():
        raise BundleError(f"{target}: exists already; a bundle never changes, choose another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield temporary
        for path in sorted(temporary.rglob("*")):
            _sync(path)
        temporary.chmod(0o755)
        temporary.rename(target)
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


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder, the manifest left out."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: checksum(path) for name, path in names.items() if name != "manifest.json"}


def read_manifest(folder: Path) -> Manifest:
    """Read a manifest and check the files it lists.

    Raises:
        BundleError: No bundle, another format, or a member missing, changed or added.

    """
    layout = BundleLayout(folder)
    if not layout.manifest.is_file():
        raise BundleError(f"{folder}: no bundle here (manifest.json is missing)")
    try:
        content = json.loads(layout.manifest.read_bytes())
        if isinstance(content, dict) and content.get("format") != BUNDLE_FORMAT:
            got = content.get("format")
            raise BundleError(f"{folder}: bundle format {got!r}, this code reads {BUNDLE_FORMAT}")
        manifest = Manifest.model_validate_json(layout.manifest.read_bytes())
    except ValidationError as error:
        raise BundleError(f"{layout.manifest}: {explain(error)}") from error
    except ValueError as error:
        raise BundleError(f"{layout.manifest}: not JSON: {error}") from error
    for member, expected in manifest.checksums.items():
        path = folder / member
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            raise BundleError(f"{folder}: member {member} is missing")
        if checksum(path) != expected:
            raise BundleError(f"{folder}: member {member} has changed since it was written")
    return manifest


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle: format, checksums, schema, shapes, finiteness and unit norms.

    Raises:
        BundleError: Names the member and what is wrong with it.

    """
    layout, manifest = BundleLayout(folder), read_manifest(folder)
    members = (layout.schema, layout.tower("user"), layout.tower("item"), layout.items)
    for path in (*members, layout.vectors, layout.golden):
        if path.relative_to(folder).as_posix() not in manifest.checksums:
            raise BundleError(f"{folder}: the manifest lists no {path.name}")
    schema = read_schema(layout.schema)
    if schema.hash != manifest.schema_hash or schema.dim != manifest.dim:
        raise BundleError(f"{folder}: schema.json is not the one the manifest names")
    table = pyarrow.parquet.read_table(layout.items)
    ids = read_ids(table, "id", layout.items)
    if len(set(ids)) != len(ids):
        raise BundleError(f"{layout.items}: an id stands twice")
    vectors = np.load(layout.vectors, allow_pickle=False)
    _check_vectors(layout.vectors, vectors, (len(ids), schema.dim))
    own = ["id", "popularity", "first_seen", "preference_as_of"]
    return Bundle(
        layout=layout,
        manifest=manifest,
        schema=schema,
        ids=ids,
        records=table.drop_columns([name for name in own if name in table.column_names]),
        popularity=_floats(table, "popularity").astype(np.float32),
        first_seen=_floats(table, "first_seen"),
        vectors=vectors,
    )


def _floats(table: pa.Table, name: str) -> NDArray[np.float64]:
    column = table.column(name).cast(pa.float64())
    values: NDArray[np.float64] = column.to_numpy(zero_copy_only=False).astype(np.float64)
    return values


def _check_vectors(path: Path, vectors: NDArray[Any], shape: tuple[int, int]) -> None:
    if vectors.dtype != np.float32 or vectors.shape != shape:
        got = f"{vectors.dtype}{list(vectors.shape)}"
        raise BundleError(f"{path}: got {got}, expected float32{list(shape)}")
    norms = np.linalg.norm(vectors, axis=1)
    bad = np.flatnonzero(~((norms >= UNIT_NORM[0]) & (norms <= UNIT_NORM[1])))
    if bad.size:
        raise BundleError(f"{path}: row {bad[0]} has length {norms[bad[0]]}, expected 1")


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest; the last file of a bundle."""
    text = manifest.model_dump_json(indent=1)
    BundleLayout(folder).manifest.write_text(text + "\n", encoding="utf-8")


def check_version(version: str) -> str:
    """Return a bundle's version if it may be one.

    Raises:
        BundleError: It holds other characters or is too long.

    """
    if not VERSION.fullmatch(version):
        raise BundleError(
            f"version {version!r}: expected 1 to 64 letters, digits, '.', '_' or '-', "
            "beginning with a letter or digit"
        )
    return version
