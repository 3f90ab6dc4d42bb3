"""The layout of a bundle, and the manifest: its version, lineage, index settings, checksums."""

import hashlib
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from export.contract.errors import BundleError
from export.contract.model_file import check_reads
from export.contract.schema import explain
from export.contract.similarity import Similarity
from export.contract.strict import Strict

BUNDLE_FORMAT = 1
LOG_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


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

    def tower_data(self, side: str) -> Path:
        """Return the tables of one side that are too large for its ONNX file; may be absent."""
        return data_beside(self.tower(side))

    @property
    def items(self) -> Path:
        """Raw records of the catalogue, with popularity and first seen."""
        return self.folder / "items.parquet"

    @property
    def vectors(self) -> Path:
        """float32[items, dim], in the order of `items`."""
        return self.folder / "vectors.npy"

    @property
    def concepts(self) -> Path:
        """Statistics of parent concepts; only where a feature has `by`."""
        return self.folder / "concepts.parquet"

    def item_vectors(self, feature: str) -> Path:
        """Return the given vectors behind a user's feature: float32[items, size], as `items`."""
        return self.folder / "item_vectors" / f"{feature}.npy"

    @property
    def ranker(self) -> Path:
        """The ONNX file that scores candidates; this and what follows only where there is one."""
        return self.folder / "ranker.onnx"

    @property
    def ranker_item(self) -> Path:
        """The ONNX file that makes a code of an item: what scoring reads of it."""
        return self.folder / "ranker_item.onnx"

    @property
    def ranker_facts(self) -> Path:
        """What the ranker is."""
        return self.folder / "ranker.json"

    @property
    def ranker_items(self) -> Path:
        """The items' codes: float32[items, width], in the order of `items`."""
        return self.folder / "ranker_items.npy"

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

    @property
    def report(self) -> Path:
        """The facts of all this on a page for people; nothing reads it, and old bundles lack it."""
        return self.folder / "report.html"

    @property
    def required(self) -> tuple[Path, ...]:
        """The members that no bundle is without, the manifest left out."""
        towers = (self.tower("user"), self.tower("item"))
        facts = (self.golden, self.parity, self.metrics)
        return (self.schema, *towers, self.items, self.vectors, *facts)

    @property
    def ranker_members(self) -> tuple[Path, ...]:
        """The members that are all there where one of them is."""
        return (self.ranker, self.ranker_item, self.ranker_facts, self.ranker_items)


def data_beside(tower: Path) -> Path:
    """Return where the large tables of a tower file lie."""
    return tower.with_name(f"{tower.name}.data")


class IndexReport(Strict):
    """How the catalogue is searched, and how well that was measured to work."""

    settings: dict[str, Any]
    target_recall: float
    measured_recall: float
    k: int
    curve: list[dict[str, Any]] = []

    @property
    def is_beside_vectors(self) -> bool:
        """Whether the index holds less than the vectors, which then are better left in their file.

        Memory is what such an index is chosen for.
        """
        return self.settings.get("kind") == "compact"


class Lineage(Strict):
    """Where a bundle comes from, in words that mean the same on every machine.

    `run` and `data` are names of folders; the digest says which data it was.
    """

    run: str
    data: str
    data_digest: str | None = None
    trained_at: datetime | None = None
    exported_at: datetime
    code: str
    log_id: str | None = Field(None, pattern=f"^{LOG_ID.pattern}$")
    """The place in the service's item log up to which the preference of items tells."""


class Manifest(Strict):
    """What a bundle holds; its checksums cover every other member, by path inside the folder.

    `largest_norm` is M of the lift, which a bundle of similarity `inner_product` has.
    """

    format: Literal[1] = 1
    version: str
    schema_hash: str
    dim: int
    items: int
    similarity: Similarity = "cosine"
    largest_norm: float | None = Field(None, gt=0)
    index: IndexReport
    lineage: Lineage
    checksums: dict[str, str]

    @model_validator(mode="after")
    def _lift_is_told(self) -> Self:
        if (self.largest_norm is None) == (self.similarity == "inner_product"):
            expected = "none" if self.largest_norm else "that of the lift"
            raise ValueError(f"largest_norm: expected {expected} with {self.similarity!r}")
        return self


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder, the manifest left out."""
    return {name: checksum(path) for name, path in sorted(_members(folder).items())}


def _members(folder: Path) -> dict[str, Path]:
    """Return every file below a folder by its path in it, the manifest left out."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: path for name, path in names.items() if name != "manifest.json"}


def read_manifest(folder: Path, *, opens_index: bool = False) -> Manifest:
    """Read a manifest and check the files it lists, before anything else opens them.

    Files that it does not list are refused, except hidden ones, which file systems and desktops
    leave behind and which nothing here opens; nor do the towers read any.

    Args:
        folder: The bundle's.
        opens_index: Whether its index is opened next, by `open_index`, which compares that file's
            SHA-256 itself: it is half of the bundle.

    Raises:
        BundleError: No bundle, another format, or a member missing, changed or added; or a tower
            that reads another file than its own data file.

    """
    layout = BundleLayout(folder)
    manifest = parse_manifest(layout.manifest)
    models = [layout.tower("user"), layout.tower("item")]
    required = layout.required
    if any(path.name in manifest.checksums for path in layout.ranker_members):
        required += layout.ranker_members
        models += [layout.ranker, layout.ranker_item]
    for path in required:
        if path.name not in manifest.checksums:
            raise BundleError(f"{layout.manifest}: checksums: lists no {path.name}")
    _check_members(folder, manifest, [layout.index] if opens_index else [])
    for model in models:
        data = data_beside(model)
        if check_reads(model, data) and data.name not in manifest.checksums:
            raise BundleError(f"{layout.manifest}: checksums: lists no {data.name}")
    return manifest


def _check_members(folder: Path, manifest: Manifest, compared_later: Collection[Path]) -> None:
    """Check that the listed files are there as they were written, and no others."""
    for member, expected in manifest.checksums.items():
        path = folder / member
        if "\0" in member or not path.resolve().is_relative_to(folder.resolve()):
            raise BundleError(f"{folder}: checksums: {member!r} lies outside the bundle")
        if not path.is_file():
            raise BundleError(f"{folder}: member {member} is missing")
        if path not in compared_later and checksum(path) != expected:
            raise BundleError(f"{folder}: member {member} has changed since it was written")
    for added in sorted(_members(folder).keys() - manifest.checksums.keys()):
        if not any(part.startswith(".") for part in added.split("/")):
            raise BundleError(f"{folder}: {added} is none of its members; remove it")


def parse_manifest(path: Path) -> Manifest:
    """Read a manifest and nothing else; `read_manifest` checks the files too.

    Raises:
        BundleError: It is not there, is none, or is of another format.

    """
    try:
        content = json.loads(path.read_bytes())
        if isinstance(content, dict) and content.get("format") != BUNDLE_FORMAT:
            got = content.get("format")
            raise BundleError(f"{path}: bundle format {got!r}, this code reads {BUNDLE_FORMAT}")
        manifest = Manifest.model_validate(content)
    except (FileNotFoundError, NotADirectoryError):
        told = f"{path.parent}: no bundle here ({path.name} is missing)"
        raise BundleError(told) from None
    except ValidationError as error:
        raise BundleError(f"{path}: {explain(error)}") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: not JSON: {error}") from error
    check_version(manifest.version)
    return manifest


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
