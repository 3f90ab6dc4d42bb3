"""Rollout: an activation or a rollback is checked before the pointer is changed."""

from pathlib import Path

from export.contract.bundle import check_version
from export.contract.errors import BundleError
from service.generation import Generation
from service.rollout.bundles import NoSuchBundle, find_bundle, list_bundles, named_manifest
from service.rollout.pointer import Pointer, PointerRefused, check_share, first_pointer
from service.rollout.pointer_store import change_pointer, moved, read_pointer
from service.rollout.room import check_room
from service.settings import Settings


def activate(
    settings: Settings, version: str, share: float = 1.0, expect: int | None = None
) -> tuple[Pointer | None, Pointer]:
    """Make a version current, or for a share below 1 the candidate; return before and after.

    The bundle is opened as the service would open it first, which takes as long as a load; one
    that is served already, to promote it or give it another share, is not. Who changed the pointer
    meanwhile wins; with `expect`, who has changed it since that generation.

    Raises:
        BundleError: The version is not in the bundles folder, or cannot be served.
        PointerRefused: Somebody else was first, or this would change nothing that can be served.
        PointerUnknown: Redis does not answer.

    """
    check_share(share)
    folder = published(settings, check_version(version))
    before = read_pointer(settings)
    refuse_moved(before, expect)
    named_manifest(folder)
    if before is None or version not in (before.current, before.candidate):
        check_room(folder, most_bytes=settings.memory_bytes)
        Generation.load(folder)  # else it was verified when it came there, and never changes
    if before is not None:
        return before, change_pointer(settings, before, before.activated(version, share))
    if share < 1:
        raise PointerRefused("no version is current yet, so none can be tried beside it")
    return None, change_pointer(settings, None, first_pointer(version))


def rollback(settings: Settings, expect: int | None = None) -> tuple[Pointer, Pointer]:
    """Drop the candidate, or without one go back to the version before; return before and after.

    With `expect` it is refused unless the pointer is still of that generation; so one that is sent
    twice does not first drop a candidate and then go back.

    Raises:
        NoSuchBundle: The version before is not there any more.
        PointerRefused: There is nothing to go back to, or somebody else was first.
        PointerUnknown: Redis does not answer.

    """
    before = read_pointer(settings)
    refuse_moved(before, expect)
    if before is None:
        raise PointerRefused("no version is current yet, so there is nothing to go back to")
    after = before.rolled_back()
    if after.current != before.current:
        _check_there(settings, after.current)
    return before, change_pointer(settings, before, after)


def refuse_moved(pointer: Pointer | None, expect: int | None) -> None:
    """Raise PointerRefused if the pointer is of another generation than the expected; 0: none."""
    of = 0 if pointer is None else pointer.generation
    if expect is not None and of != expect:
        raise PointerRefused(moved(expect, pointer))


def published(settings: Settings, version: str) -> Path:
    """Return the folder of a version in the bundles folder.

    Raises:
        BundleError: It is not there; says which are.

    """
    folder = settings.bundles / version
    if not folder.is_dir():
        raise not_there(settings, version)
    return folder


def _check_there(settings: Settings, version: str) -> None:
    try:
        is_there = find_bundle(settings, version) is not None
    except BundleError as error:  # nor is what `--bundle` names a bundle
        raise not_there(settings, version) from error
    if not is_there:
        raise not_there(settings, version)


def not_there(settings: Settings, version: str) -> NoSuchBundle:
    """Say that a version is not in the bundles folder, and which are."""
    there = ", ".join(one.version for one in list_bundles(settings.bundles)[-5:]) or "none"
    return NoSuchBundle(
        version,
        f"version {version!r} is not in {settings.bundles} (there: {there}); publish it first",
    )
