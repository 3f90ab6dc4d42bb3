"""What a loader loads for its workers: the current version and, if one is tried, the candidate."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from export.contract.errors import BundleError
from service.generation import Generation
from service.processes.preparation import ItemsUnread, prepare
from service.rollout.bundles import bundle_to_serve, find_bundle
from service.rollout.pointer import Pointer, first_pointer
from service.rollout.room import check_room
from service.settings import Settings
from service.snapshot import kept_in
from service.stores import open_store

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """Generations by version, and whom they serve.

    pointer: names only versions that are loaded.
    refused: versions that were to be served beside the current one and cannot be, and why.
    """

    pointer: Pointer
    generations: Mapping[str, Generation]
    refused: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def alone(cls, generation: Generation) -> "Loaded":
        """Return one version that serves everyone."""
        return cls(first_pointer(generation.version), {generation.version: generation})


def load_served(settings: Settings, *, served: Collection[str] = ()) -> Loaded | None:
    """Load what is to be served, with all that was posted; None while that is nothing.

    Also where it is not there. A candidate that cannot be served is left out, whatever is wrong
    with it: the current version must not go down with it.

    Args:
        settings: Where bundles, Redis and snapshots are.
        served: The versions that others serve meanwhile, none at a start.

    Raises:
        BundleError: The current version cannot be served, or `--bundle` is no bundle. Where others
            serve meanwhile, also that this would be less: what is current is not known, or not
            there, or items cannot be read, or the candidate cannot be served that they serve beside
            the same current version.

    """
    pointer, folder = bundle_to_serve(settings, takes_over=bool(served))
    if folder is None:
        return None
    if pointer is not None and _are_both(pointer, served):
        _check_both(settings, folder, str(pointer.candidate))
    current = _load(settings, folder, None if pointer is None else pointer.current, served)
    if pointer is None or pointer.candidate is None:
        return Loaded(pointer or first_pointer(current.version), {current.version: current})
    return _with_candidate(settings, pointer, pointer.candidate, current, served)


def _are_both(pointer: Pointer, served: Collection[str]) -> bool:
    """Say whether others serve the current version and the candidate, as whoever follows must."""
    return {pointer.current, pointer.candidate} <= set(served)


def _check_both(settings: Settings, current: Path, candidate: str) -> None:
    """Refuse a handover to less than is served, before anything is loaded for it."""
    try:
        check_room(current, _found(settings, candidate), most_bytes=settings.memory_bytes)
    except BundleError as error:
        raise _lost(candidate, str(error)) from error


def _found(settings: Settings, version: str) -> Path:
    folder = find_bundle(settings, version)
    if folder is None:
        raise BundleError(f"version {version!r} is not in {settings.bundles}")
    return folder


def _lost(candidate: str, why: str) -> BundleError:
    return BundleError(f"candidate {candidate!r} is being tried and could not be any more: {why}")


def _with_candidate(
    settings: Settings,
    pointer: Pointer,
    candidate: str,
    current: Generation,
    served: Collection[str],
) -> Loaded:
    loaded = {current.version: current}
    try:
        loaded[candidate] = _load(settings, _found(settings, candidate), candidate, served)
    except ItemsUnread:
        raise
    except Exception as error:  # a disk, hnswlib, onnxruntime or memory may fail in any way
        why = str(error) if isinstance(error, BundleError) else f"{type(error).__name__}: {error}"
        if _are_both(pointer, served):  # else others lack the current version
            raise _lost(candidate, why) from error
        logger.error("candidate refused", extra={"version": candidate, "reason": why})
        alone = replace(pointer, candidate=None, share=0.0)
        return Loaded(alone, loaded, {candidate: why})
    return Loaded(pointer, loaded)


def _load(
    settings: Settings, folder: Path, version: str | None, served: Collection[str]
) -> Generation:
    check_room(folder, most_bytes=settings.memory_bytes)
    generation = Generation.load(folder)
    if version not in (None, generation.version):
        raise BundleError(f"{folder}: holds version {generation.version!r}, not {version!r}")
    store = open_store(settings, generation)
    prepare(generation, store, kept_in(settings), takes_over=bool(served))
    return generation
