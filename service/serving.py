"""The versions that a process serves, and which of them answers whom."""

import time
from collections.abc import Mapping
from dataclasses import replace

from service.processes.loaded import Loaded
from service.rollout.pointer import Pointer, version_for
from service.use_cases import UseCases


class Serving:
    """Use cases by version, and the pointer as far as it names versions that are loaded.

    Changed by `follow` alone; whoever took a version keeps it until the answer is given.
    """

    def __init__(self, loaded: Loaded, cases: Mapping[str, UseCases]) -> None:
        self._cases = cases
        self._refused = loaded.refused
        self._refused_at = loaded.pointer.generation
        self._pointer = loaded.pointer
        self._unnamed_since_s: float | None = None

    @property
    def pointer(self) -> Pointer:
        """Whom which version serves here; it names only versions that are loaded."""
        return self._pointer

    @property
    def all(self) -> list[UseCases]:
        """Return all versions that are loaded, the current one first."""
        current = self.current
        return [current, *(cases for cases in self._cases.values() if cases is not current)]

    @property
    def current(self) -> UseCases:
        """The version that serves whoever is not served the candidate, and takes all writes."""
        return self._cases[self._pointer.current]

    @property
    def candidate(self) -> UseCases | None:
        """The version that is tried on a share of users."""
        candidate = self._pointer.candidate  # read once: `follow` is called in another thread
        return None if candidate is None else self._cases[candidate]

    def share(self, version: str) -> float:
        """Return the share of users that a version serves here, 0..1."""
        tried = self._pointer.share
        if version == self._pointer.candidate:
            return tried
        return 1.0 - tried if version == self._pointer.current else 0.0

    def for_user(self, user_id: str | None) -> UseCases:
        """Return the version that serves a user."""
        return self._cases[version_for(self._pointer, user_id)]

    def follow(self, pointer: Pointer) -> list[str]:
        """Serve as a pointer says, as far as its versions are loaded; return those to be loaded.

        Where its current version is not loaded the one that serves goes on, and no candidate is
        tried meanwhile. A version that the loader has refused is not asked for again, unless the
        pointer was changed since.
        """
        has = self._cases.keys()
        if pointer.current in has:
            candidate = pointer.candidate if pointer.candidate in has else None
            share = pointer.share if candidate else 0.0
            self._pointer = replace(pointer, candidate=candidate, share=share)
        else:
            self._pointer = replace(self._pointer, candidate=None, share=0.0)
        named = [one for one in (pointer.current, pointer.candidate) if one is not None]
        if pointer.generation != self._refused_at:
            self._refused = {}
        self._note_unnamed(bool(has - set(named)))
        return [one for one in named if one not in has and one not in self._refused]

    def _note_unnamed(self, is_one: bool) -> None:
        if not is_one:
            self._unnamed_since_s = None
        elif self._unnamed_since_s is None:
            self._unnamed_since_s = time.monotonic()

    def unnamed_for_s(self) -> float:
        """Return how long a version has been loaded here that the pointer does not name."""
        if self._unnamed_since_s is None:
            return 0.0
        return time.monotonic() - self._unnamed_since_s

    def refusal(self) -> str | None:
        """Say which version that is named was left out at the load, and why; None: none was."""
        return "; ".join(f"{one}: {why}" for one, why in self._refused.items()) or None
