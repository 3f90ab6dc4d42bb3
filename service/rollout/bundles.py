"""The folder of bundles: which versions are there, which is served, how one gets in."""

import fcntl
import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from export.contract.bundle import (
    VERSION,
    BundleLayout,
    Manifest,
    check_version,
    new_folder,
    parse_manifest,
    read_manifest,
)
from export.contract.errors import BundleError
from service.generation import Generation
from service.rollout.pointer import Pointer
from service.rollout.pointer_store import PointerUnknown, read_pointer
from service.settings import Settings

logger = logging.getLogger(__name__)

WORKSHOP = ".publishing"
"""Where copies are made, in the folder of bundles; a lock beside it is held by who makes them."""


class NoSuchBundle(BundleError):
    """A version that is not in the folder of bundles."""

    def __init__(self, version: str, message: str) -> None:
        super().__init__(message)
        self.version = version


@dataclass(frozen=True, slots=True)
class Listed:
    """A version in the folder, by its manifest, or what is wrong with that.

    Its other files are not looked at; the size is that of them all.
    """

    version: str
    size_bytes: int
    created: datetime | None = None
    items: int | None = None
    fault: str | None = None


def offered_version(folder: Path) -> str:
    """Return the version that a bundle's manifest names; its files are not looked at.

    Raises:
        BundleError: There is no bundle.

    """
    try:
        manifest = json.loads(BundleLayout(folder).manifest.read_bytes())
        return check_version(str(manifest["version"]))
    except OSError as error:
        raise BundleError(f"{folder}: no bundle here: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise BundleError(f"{folder}: manifest.json names no version") from error


def find_bundle(settings: Settings, version: str) -> Path | None:
    """Return the folder of a version: in the bundles folder, or the one that `--bundle` names."""
    folder = settings.bundles / version
    if BundleLayout(folder).manifest.is_file():
        return folder
    offered = settings.bundle
    return offered if offered is not None and offered_version(offered) == version else None


def bundle_to_serve(
    settings: Settings, *, takes_over: bool = False
) -> tuple[Pointer | None, Path | None]:
    """Return the pointer, if there is one, and the bundle to serve, None while there is none.

    The pointer wins over `--bundle`; where Redis does not answer, `--bundle` is served.

    Args:
        settings: Where bundles are, and Redis.
        takes_over: Whether others serve meanwhile, who must not be replaced by a guess.

    Raises:
        BundleError: `--bundle` names something that is no bundle; or others serve, and which
            version is to be served is not known, or is not there.

    """
    try:
        pointer = read_pointer(settings)
    except PointerUnknown as error:
        if takes_over:
            raise BundleError(f"which version is current is not known: {error}") from error
        logger.warning("pointer not read", extra={"reason": str(error)})
        pointer = None
    if pointer is None:
        return None, settings.bundle
    folder = find_bundle(settings, pointer.current)
    if folder is None and takes_over:
        told = f"version {pointer.current!r} is current and not in {settings.bundles}"
        raise NoSuchBundle(pointer.current, told)
    return pointer, folder


def list_bundles(bundles: Path) -> list[Listed]:
    """Return the versions in the folder, by name; a folder that is not there holds none.

    One that is being removed meanwhile may be left out.
    """
    if not bundles.is_dir():
        return []
    found = (path for path in bundles.iterdir() if VERSION.fullmatch(path.name) and path.is_dir())
    listed = (_listed(path) for path in sorted(found))
    return [one for one in listed if one is not None]


def _listed(folder: Path) -> Listed | None:
    """Look at a version; None where a file of it goes while it is looked at."""
    try:
        size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        manifest = named_manifest(folder)
    except FileNotFoundError:
        return None
    except BundleError as error:
        return Listed(folder.name, size_bytes, fault=str(error))
    return Listed(folder.name, size_bytes, manifest.lineage.exported_at, manifest.items)


def named_manifest(folder: Path) -> Manifest:
    """Return the manifest of a version in the folder of bundles; its files are not looked at.

    Raises:
        BundleError: There is none, or it names another version than the folder is called.

    """
    path = BundleLayout(folder).manifest
    if not path.is_file():
        raise BundleError(f"{folder}: no bundle here (manifest.json is missing)")
    manifest = parse_manifest(path)
    if manifest.version != folder.name:
        raise BundleError(
            f"{path}: names version {manifest.version!r}, but its folder is {folder.name!r}"
        )
    return manifest


def publish(bundles: Path, source: Path) -> tuple[Manifest, bool]:
    """Copy a bundle into the folder, whole or not at all; return its manifest, and if it is new.

    Publishers of one folder wait for each other, and remove what a killed one left. A version
    that is there with the same manifest stays as it is, once its checksums are right.

    Raises:
        BundleError: It is no good bundle, or the version is there with another manifest.

    """
    manifest = Generation.load(source).bundle.manifest
    target = bundles / manifest.version
    with _workshop(bundles) as workshop:
        if target.exists():
            _check_same(target, manifest)
            return manifest, False
        with new_folder(target, workshop) as copy:
            for member in (*manifest.checksums, BundleLayout(source).manifest.name):
                (copy / member).parent.mkdir(exist_ok=True, parents=True)
                shutil.copyfile(source / member, copy / member)
            if read_manifest(copy) != manifest:
                raise BundleError(f"{source}: has changed while it was copied")
    return manifest, True


def _check_same(there: Path, manifest: Manifest) -> None:
    if named_manifest(there) != manifest:
        raise BundleError(
            f"{there}: is there with another manifest; a version never changes, export the new "
            "bundle under another name"
        )
    read_manifest(there)


@contextmanager
def _workshop(bundles: Path) -> Iterator[Path]:
    """Give an empty folder on the bundles' file system, to one process at a time."""
    workshop = bundles / WORKSHOP
    workshop.mkdir(parents=True, exist_ok=True)
    # A file that is open for writing: a folder's lock is not told to the server of an NFS.
    with (bundles / f"{WORKSHOP}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in workshop.iterdir():
            shutil.rmtree(leftover)
        yield workshop
