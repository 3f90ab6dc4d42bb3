"""What a loader loads for its workers: the current version and, if one is tried, the candidate."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from export.contract.errors import BundleError
from service.generation import Generation
from service.rollout.bundles import bundle_to_serve, find_bundle
from service.rollout.pointer import Pointer, first_pointer
from service.rollout.room import check_room
from service.settings import Settings

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


def load_served(settings: Settings, *, takes_over: bool = False) -> Loaded | None:
    """Load what is to be served; None while that is nothing, or is not there.

    A candidate that cannot be served is left out: the current version must not go down with it.

    Raises:
        BundleError: The current version cannot be served, or `--bundle` is no bundle; where others
            serve meanwhile (`takes_over`), also that it is not known, or not there.

    """
    pointer, folder = bundle_to_serve(settings, takes_over=takes_over)
    if folder is None:
        return None
    current = _load(settings, folder, None if pointer is None else pointer.current)
    if pointer is None or pointer.candidate is None:
        return Loaded(pointer or first_pointer(current.version), {current.version: current})
    return _with_candidate(settings, pointer, pointer.candidate, current)


def _with_candidate(
    settings: Settings, pointer: Pointer, candidate: str, current: Generation
) -> Loaded:
    loaded = {current.version: current}
    try:
        folder = find_bundle(settings, candidate)
        if folder is None:
            raise BundleError(f"version {candidate!r} is not in {settings.bundles}")
        loaded[candidate] = _load(settings, folder, candidate)
    except BundleError as error:
        logger.error("candidate refused", extra={"version": candidate, "reason": str(error)})
        alone = replace(pointer, candidate=None, share=0.0)
        return Loaded(alone, loaded, {candidate: str(error)})
    return Loaded(pointer, loaded)


def _load(settings: Settings, folder: Path, version: str | None) -> Generation:
    check_room(folder, settings.memory_bytes)
    generation = Generation.load(folder)
    if version not in (None, generation.version):
        raise BundleError(f"{folder}: holds version {generation.version!r}, not {version!r}")
    return generation
